#include "base/toml_scanner.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/core.h>

#include "base/text.h"

namespace tare {

namespace {

constexpr std::string_view kDecimal = "0123456789";
constexpr std::string_view
    kBareKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
constexpr std::string_view
    kWord = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.:";

bool is_control(char c) {
  const auto code = static_cast<unsigned char>(c);
  return (code < 0x20 && c != '\t') || code == 0x7F;
}

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// The digits without their underscores; nothing unless there are digits, all of `set`, with every
// underscore between two of them.
std::optional<std::string> digits_of(std::string_view text, std::string_view set) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && i > 0 && i + 1 < text.size() && text[i - 1] != '_') continue;
    if (!is_one_of(text[i], set)) return std::nullopt;
    digits += text[i];
  }
  if (digits.empty()) return std::nullopt;
  return digits;
}

std::optional<std::int64_t> to_integer(const std::string& text, int base) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Json> prefixed_integer(std::string_view word) {
  struct Base {
    std::string_view prefix, digits;
    int base;
  };
  for (const auto& [prefix, set, base] :
       {Base{"0x", "0123456789abcdefABCDEF", 16}, Base{"0o", "01234567", 8}, Base{"0b", "01", 2}}) {
    if (!word.starts_with(prefix)) continue;
    const auto digits = digits_of(word.substr(prefix.size()), set);
    if (!digits) return std::nullopt;
    const auto value = to_integer(*digits, base);
    if (value) return Json(*value);
  }
  return std::nullopt;
}

// An integer, or a number with a fraction, an exponent or both.
std::optional<Json> decimal(std::string_view word) {
  const bool negative = word.starts_with('-');
  std::string_view rest = word;
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const auto whole = digits_of(rest.substr(0, rest.find_first_of(".eE")), kDecimal);
  if (!whole || (whole->size() > 1 && whole->front() == '0')) return std::nullopt;
  std::string text = (negative ? "-" : "") + *whole;
  rest.remove_prefix(std::min(rest.size(), rest.find_first_of(".eE")));
  if (rest.empty()) {
    const auto value = to_integer(text, 10);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  if (rest.front() == '.') {
    const std::size_t end = std::min(rest.size(), rest.find_first_of("eE"));
    const auto fraction = digits_of(rest.substr(1, end - 1), kDecimal);
    if (!fraction) return std::nullopt;
    text += '.' + *fraction;
    rest.remove_prefix(end);
  }
  if (!rest.empty()) {  // at the e
    rest.remove_prefix(1);
    if (rest.starts_with('-')) text += "e-";
    if (!rest.starts_with('-')) text += 'e';
    if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
    const auto exponent = digits_of(rest, kDecimal);
    if (!exponent) return std::nullopt;
    text += *exponent;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return Json(value);
}

// 2026-11-22..., 06:45...
bool looks_like_time(std::string_view word) {
  const auto digits_then = [&](std::size_t n, char mark) {
    return word.size() > n && word[n] == mark &&
           word.substr(0, n).find_first_not_of(kDecimal) == std::string_view::npos;
  };
  return digits_then(4, '-') || digits_then(2, ':');
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12), tail(6), tail(0);
  }
}

}  // namespace

void TomlScanner::skip(std::size_t bytes) {
  rest_.remove_prefix(bytes);
  column_ += static_cast<std::uint32_t>(bytes);
}

bool TomlScanner::take(std::string_view text) {
  if (!sees(text)) return false;
  skip(text.size());
  return true;
}

Error TomlScanner::refuse(std::string_view why) const {
  return Error{Errc::invalid, fmt::format("{}:{}:{}: {}", file_, line_, column_, why)};
}

void TomlScanner::skip_blanks() { skip(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }

Result<bool> TomlScanner::take_newline() {
  if (!take("\r\n") && !take("\n")) {
    if (sees("\r")) return refuse("a carriage return without a newline");
    return false;
  }
  ++line_;
  column_ = 1;
  return true;
}

Result<> TomlScanner::skip_comment() {
  if (!sees("#")) return ok();
  while (!at_end() && !sees("\n") && !sees("\r\n")) {
    if (is_control(rest_.front())) return refuse("a control character in a comment");
    skip(1);
  }
  return ok();
}

Result<> TomlScanner::skip_lines() {
  do {
    skip_blanks();
    TRY(skip_comment());
  } while (TRY(take_newline()));
  return ok();
}

Result<> TomlScanner::end_line() {
  skip_blanks();
  TRY(skip_comment());
  if (at_end() || TRY(take_newline())) return ok();
  return refuse("expected the end of the line");
}

Result<std::string> TomlScanner::key_part() {
  if (sees("\"\"\"") || sees("'''")) return refuse("a key cannot have several lines");
  if (sees("\"")) return basic_string();
  if (sees("'")) return literal_string();
  const std::size_t n = std::min(rest_.find_first_not_of(kBareKey), rest_.size());
  if (n == 0) return refuse("expected a key: letters, digits, _ and -, or text in quotes");
  std::string key(rest_.substr(0, n));
  skip(n);
  return key;
}

Result<> TomlScanner::take_plain(std::string& text) {
  if (at_end() || sees("\n") || sees("\r\n")) return refuse("the text in quotes does not end");
  if (is_control(rest_.front()))
    return refuse("a control character in quotes; write it as \\uXXXX");
  text += rest_.front();
  skip(1);
  return ok();
}

Result<std::string> TomlScanner::basic_string() {
  skip(1);
  std::string text;
  while (!take("\"")) TRY(sees("\\") ? take_escape(text) : take_plain(text));
  return text;
}

Result<std::string> TomlScanner::literal_string() {
  skip(1);
  std::string text;
  while (!take("'")) TRY(take_plain(text));
  return text;
}

bool TomlScanner::take_closing(char mark, std::string& text) {
  if (!take(std::string(3, mark))) return false;
  for (int i = 0; i < 2 && take({&mark, 1}); ++i) text += mark;
  return true;
}

bool TomlScanner::take_line_continuation() {
  if (!sees("\\")) return false;
  const std::size_t end = rest_.find_first_not_of(" \t", 1);
  if (end == std::string_view::npos) return false;
  if (!rest_.substr(end).starts_with('\n') && !rest_.substr(end).starts_with("\r\n")) return false;
  skip(end);
  while (sees("\n") || sees("\r\n")) {
    rest_.remove_prefix(sees("\n") ? 1 : 2);
    ++line_;
    column_ = 1;
    skip_blanks();
  }
  return true;
}

Result<std::string> TomlScanner::multi_line(char mark) {
  skip(3);
  TRY(take_newline());  // the first one is not part of the text
  std::string text;
  while (!take_closing(mark, text)) {
    if (TRY(take_newline())) {
      text += '\n';
    } else if (mark == '"' && take_line_continuation()) {
      continue;
    } else if (mark == '"' && sees("\\")) {
      TRY(take_escape(text));
    } else {
      TRY(take_plain(text));
    }
  }
  return text;
}

Result<> TomlScanner::take_code_point(std::size_t digits, std::string& text) {
  std::uint32_t code = 0;
  const std::string_view hex = rest_.substr(0, digits);
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
  const bool whole = hex.size() == digits && error == std::errc{} && end == hex.data() + digits;
  if (!whole || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    return refuse(fmt::format("expected {} hexadecimal digits of a Unicode character", digits));
  }
  append_utf8(text, code);
  skip(digits);
  return ok();
}

Result<> TomlScanner::take_escape(std::string& text) {
  struct Escape {
    std::string_view code;
    char meaning;
  };
  for (const auto& [code, meaning] :
       {Escape{"\\b", '\b'}, Escape{"\\t", '\t'}, Escape{"\\n", '\n'}, Escape{"\\f", '\f'},
        Escape{"\\r", '\r'}, Escape{"\\\"", '"'}, Escape{"\\\\", '\\'}}) {
    if (!take(code)) continue;
    text += meaning;
    return ok();
  }
  if (take("\\u")) return take_code_point(4, text);
  if (take("\\U")) return take_code_point(8, text);
  return refuse(R"(unknown escape; allowed: \b \t \n \f \r \" \\ \uXXXX \UXXXXXXXX)");
}

Result<Json> TomlScanner::scalar() {
  if (sees("\"\"\"")) return Json(TRY(multi_line('"')));
  if (sees("'''")) return Json(TRY(multi_line('\'')));
  if (sees("\"")) return Json(TRY(basic_string()));
  if (sees("'")) return Json(TRY(literal_string()));
  return word();
}

Result<Json> TomlScanner::word() {
  const std::string_view word = rest_.substr(0, rest_.find_first_not_of(kWord));
  if (word.empty()) return refuse("expected a value");
  std::optional<Json> value;
  if (word == "true" || word == "false") value = Json(word == "true");
  if (!value) value = prefixed_integer(word);
  if (!value) value = decimal(word);
  if (value) {
    skip(word.size());
    return std::move(*value);
  }
  if (looks_like_time(word))
    return refuse("dates and times are not used here; write text in quotes");
  return refuse(
      fmt::format("{} is not a value: text needs quotes, a number must be finite and fit in "
                  "64 bits",
                  quote(word)));
}

}  // namespace tare
