// Our own reading of heads and chunk headers, strict by RFC 9112 and stricter where the RFC leaves
// a choice (see codec.h). Pure functions; private to src/http. `head` is a complete head up to and
// including its empty line, in which every line ends with CRLF (the decoder has seen to that).
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace tare::http {

// The error's `sys` holds the HTTP status to answer with.
Result<RequestHead> parse_request_head(std::string_view head);
Result<ResponseHead> parse_response_head(std::string_view head);

// The bytes from the end of one chunk's data to the next (or, `first`, from the end of the head):
// CRLF, the size, CRLF, and behind a size of zero the last CRLF. Its length once it is complete, 0
// before; an error at the first byte that does not belong there: an extension, a trailer, a sign, a
// 17th digit.
Result<std::size_t> chunk_header_size(std::string_view input, bool first);

bool is_token(std::string_view text);  // RFC 9110 section 5.6.2
bool is_field_value(
    std::string_view text);  // no control character but HTAB; no space at either end

}  // namespace tare::http
