// TOML text as JSON, so that one decoder (decode.h) reads both, and the line of every key for its errors.
//
// Errors: Errc::invalid with file, line and column: bad syntax, a date or time, a number that is not finite,
// nesting above kMaxTomlDepth, more than kMaxTomlBytes (Errc::exhausted). Threads: a plain value.
// Source: toml.io v1.0.0, through toml++, which only toml.cpp includes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/decode.h"
#include "base/json.h"
#include "base/result.h"

namespace tare {

class TomlDocument final : public Source {
 public:
  // `file_name` is what errors call it: "agent.toml".
  static Result<TomlDocument> parse(std::string_view text, std::string file_name);

  const Json& value() const { return value_; }
  // The whole document, for readers. The document must outlive it.
  Node root() const { return Node(value_, *this); }

  // "agent.toml:12": the line of the path's key, or of the nearest key around it; without a line for the root.
  std::string locate(std::string_view path) const override;

 private:
  TomlDocument(Json value, std::string file_name, std::map<std::string, std::uint32_t, std::less<>> lines)
      : value_(std::move(value)), file_name_(std::move(file_name)), lines_(std::move(lines)) {}

  Json value_;
  std::string file_name_;
  std::map<std::string, std::uint32_t, std::less<>> lines_;
};

}  // namespace tare
