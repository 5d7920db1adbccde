// What commands print: tables, times, and safe access to answers of the server for them. Pure
// functions. What never happens: a control character of the server's reaches the terminal.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace tare::cli {

// Left-aligned columns, two spaces between, no trailing spaces; a line a row. Widths are in code
// points.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Control characters as "?", invalid UTF-8 as U+FFFD, longer than `most` code points cut with
// "...".
std::string printable(std::string_view text, std::size_t most = 200);

// "3s", "5m", "2h", "4d": how long ago.
std::string age_text(std::uint64_t then_ms, std::uint64_t now_ms);

// The value at a path of keys, or a neutral one where it is not there or of another type. For
// printing only.
std::string text_at(const Json& value, std::initializer_list<std::string_view> path);
std::uint64_t number_at(const Json& value, std::initializer_list<std::string_view> path);
bool flag_at(const Json& value, std::initializer_list<std::string_view> path);
const JsonArray& array_at(const Json& value, std::string_view key);

// Shell-like: words that need it are quoted.
std::string command_text(const JsonArray& argv, std::size_t most = 60);

// A refusal of tared's in the words of the command line: it names fields of the API.
std::string error_text(const Error& error);

}  // namespace tare::cli
