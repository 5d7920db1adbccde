// TOML text as JSON, so that one decoder (decode.h) reads both, and the line of every key for its
// errors.
//
// The parser is ours: toml++ 3.3, the one in Debian bookworm, has undefined behaviour on hostile
// text ("[}"), and this text comes over the network too. Tests hold ours to the answers of toml++.
// Errors: Errc::invalid with file, line and column: bad syntax, a date or time, a number that is
// not finite, a key defined twice, nesting above kMaxTomlDepth; Errc::exhausted above
// kMaxTomlBytes. Threads: a plain value. Source: toml.io v1.0.0. Stricter: no dates, times, inf,
// nan or byte order mark; a dotted key adds only to tables that dotted keys made. Newlines in text
// are always "\n".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/json.h"
#include "base/result.h"

namespace tare {

// A place in a document: the line where its key or item is, and what is below.
struct TomlPlace {
  std::uint32_t line = 0;  // 0 for the document
  std::map<std::string, TomlPlace, std::less<>> members;
  std::vector<TomlPlace> items;
};

class TomlDocument final : public Source {
 public:
  // `file_name` is what errors call it: "agent.toml".
  static Result<TomlDocument> parse(std::string_view text, std::string file_name);

  const Json& value() const { return value_; }
  // The whole document, for readers. The document must outlive it.
  Node root() const { return Node(value_, *this); }

  // "agent.toml:12": the line of the path's key, or of the nearest key around it; without a line
  // for the root.
  std::string locate(const std::vector<PathPart>& path) const override;

 private:
  TomlDocument(Json value, TomlPlace places, std::string file_name)
      : value_(std::move(value)), places_(std::move(places)), file_name_(std::move(file_name)) {}

  Json value_;
  TomlPlace places_;
  std::string file_name_;
};

}  // namespace tare
