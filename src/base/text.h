// Text from outside made safe to print: UTF-8 checks, JSON string escapes, short quotes for error
// messages. Pure functions; any bytes are accepted. What never happens: a control character or
// invalid UTF-8 in the output. Source: RFC 3629 (UTF-8), RFC 8259 section 7 (JSON strings).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tare {

bool is_utf8(std::string_view text);

// Appends `text` as a JSON string with its quotes. Invalid bytes become U+FFFD; text beyond
// `max_bytes` is cut at a character and marked with "...".
void append_json_string(std::string& out, std::string_view text, std::size_t max_bytes);

// For error messages: in double quotes, escaped, cut to kMaxQuotedBytes.
inline constexpr std::size_t kMaxQuotedBytes = 96;
std::string quote(std::string_view text);

// "a:b" by ':' is "a", "b"; "" is one empty piece, and ":" two. The pieces are of `text`.
std::vector<std::string_view> split(std::string_view text, char by);

// "a, b, c".
std::string joined(const std::vector<std::string_view>& items);

}  // namespace tare
