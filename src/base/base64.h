// Base64 with padding (RFC 4648, section 4). Decoding is strict: anything that encode() would not
// have written is refused (Errc::invalid). Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare {

std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);
// Into `into`, which has room for three bytes of each four (CHECK); answers how many there were.
Result<std::size_t> base64_decode_to(std::string_view text, std::span<char> into);

std::string base64url_encode(std::string_view bytes);
Result<std::string> base64url_decode(std::string_view text);

}  // namespace tare
