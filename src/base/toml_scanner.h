// The characters of a TOML text: blanks, comments, keys, and the values that are not made of
// others. What tables and arrays mean is toml.cpp's; nobody else includes this.
//
// Borrows the text, which is valid UTF-8 (checked by the caller). Errors: Errc::invalid with file,
// line and column. What never happens: a read beyond the end, a recursion. Source: toml.io v1.0.0.
// Stricter: no dates and times, no inf and nan, no byte order mark.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace tare {

class TomlScanner {
 public:
  TomlScanner(std::string_view text, std::string_view file) : rest_(text), file_(file) {}

  bool at_end() const { return rest_.empty(); }
  std::uint32_t line() const { return line_; }
  bool sees(std::string_view text) const { return rest_.starts_with(text); }
  // Takes the text if it comes next. The text holds no newline.
  bool take(std::string_view text);
  Error refuse(std::string_view why) const;

  void skip_blanks();
  // Blanks, comments and newlines.
  Result<> skip_lines();
  // Blanks and a comment, then a newline or the end.
  Result<> end_line();

  // One part of a key: bare or quoted.
  Result<std::string> key_part();
  // Text, number or boolean.
  Result<Json> scalar();

 private:
  void skip(std::size_t bytes);
  // Nothing where no newline comes next; a lone carriage return is refused.
  Result<bool> take_newline();
  Result<> skip_comment();
  Result<std::string> basic_string();
  Result<std::string> literal_string();
  Result<std::string> multi_line(char mark);
  // A backslash at the end of a line: it and all blanks and newlines that follow are no text.
  bool take_line_continuation();
  // The closing marks of a multi-line string, of which two more may belong to the text.
  bool take_closing(char mark, std::string& text);
  Result<> take_escape(std::string& text);
  Result<> take_code_point(std::size_t digits, std::string& text);
  // One character of a string, as it is.
  Result<> take_plain(std::string& text);
  Result<Json> word();

  std::string_view rest_;
  std::string_view file_;
  std::uint32_t line_ = 1;
  std::uint32_t column_ = 1;  // in bytes
};

}  // namespace tare
