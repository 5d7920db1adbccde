// Strict decoding of JSON and TOML into typed values, with errors that name the place, the fault
// and what is allowed: "agent.toml:12: limits.memroy: unknown key; allowed: memory, cpu, pids".
//
//   Result<Limits> read_limits(const Node& node) {
//     Limits limits;
//     Fields fields(node);
//     fields.optional("pids", limits.pids, integer<std::uint32_t>(1, 32'768));
//     fields.optional("memory", limits.memory_bytes, size_text(8 * kMiB, kTiB));
//     TRY(fields.finish());
//     return limits;
//   }
//   ... list_of(text(64), 10), fields.optional("limits", request.limits, read_limits) ...
//
// A reader is anything that can be called with a Node and gives a Result<T>; readers nest. A field
// that is left out keeps the value it has. `null` never stands for "left out". Errors:
// Errc::invalid, with Error::field set to the path. Threads: values of one. What never happens: a
// repeated or unknown key is passed over (except by a lenient Node), a number is rounded or
// wrapped, a NUL is accepted in text.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tare {

// One step on the way to a value: the key of a member, or the index of an item.
struct PathPart {
  std::string_view key;
  std::size_t index = 0;
  bool is_key = false;
};

// Knows where in a file a value was written.
class Source {
 public:
  virtual ~Source() = default;
  // "agent.toml:12", or the nearest thing known.
  virtual std::string locate(const std::vector<PathPart>& path) const = 0;
};

// Responses of a newer peer may hold more than we know; requests and files may not.
enum class Unknown : std::uint8_t { refuse, ignore };

// "limits.memory", "files[3]", "env[\"odd key\"]".
std::string path_text(const std::vector<PathPart>& path);

// A value and the place where it stands. Lives on the stack: a child points at its parent.
class Node {
 public:
  explicit Node(const Json& value, Unknown unknown = Unknown::refuse)
      : value_(value), unknown_(unknown) {}
  Node(const Json& value, const Source& source) : value_(value), source_(&source) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  Node member(std::string_view key, const Json& value) const {
    return Node(value, *this, PathPart{key, 0, true});
  }
  Node item(std::size_t index, const Json& value) const {
    return Node(value, *this, PathPart{{}, index, false});
  }

  const Json& value() const { return value_; }
  Unknown unknown() const { return unknown_; }
  std::vector<PathPart> path() const;
  // A refusal of this value: place, path, `why`.
  Error refuse(std::string_view why) const;
  // "expected <what>, found <the value, shortly>".
  Error expected(std::string_view what) const;
  // What an object is called where it was written: a table in TOML.
  std::string_view object_word() const { return source_ != nullptr ? "a table" : "an object"; }

 private:
  Node(const Json& value, const Node& parent, PathPart part)
      : value_(value),
        unknown_(parent.unknown_),
        source_(parent.source_),
        parent_(&parent),
        part_(part) {}

  const Json& value_;
  Unknown unknown_ = Unknown::refuse;
  const Source* source_ = nullptr;
  const Node* parent_ = nullptr;
  PathPart part_;
};

template <class Reader>
using ReadType = typename std::invoke_result_t<Reader, const Node&>::value_type;

// The members of one object. Name each allowed key once, then finish().
class Fields {
 public:
  explicit Fields(const Node& node);

  template <class T, class Reader>
  void required(std::string_view key, T& into, const Reader& reader) {
    read(key, into, reader, true);
  }
  template <class T, class Reader>
  void optional(std::string_view key, T& into, const Reader& reader) {
    read(key, into, reader, false);
  }
  // Known, but refused with `why`; not shown among the allowed keys.
  void reserved(std::string_view key, std::string_view why);
  bool has(std::string_view key) const;

  // The first trouble: an unknown key, then a wrong value, then a missing key.
  Result<> finish();

 private:
  template <class T, class Reader>
  void read(std::string_view key, T& into, const Reader& reader, bool must) {
    const Json* value = declare(key, must);
    if (value == nullptr || wrong_) return;
    auto result = reader(node_.member(key, *value));
    if (result) {
      into = std::move(result).value();
    } else {
      wrong_ = std::move(result).error();
    }
  }
  // The member, or nullptr when it is not there.
  const Json* declare(std::string_view key, bool must);
  std::optional<Error> unknown_key() const;

  const Node& node_;
  const JsonObject* object_ = nullptr;  // nullptr: the value is not an object
  std::vector<std::string_view> allowed_;
  std::vector<std::string_view> reserved_;
  std::optional<Error> wrong_;
  std::optional<Error> missing_;
};

// The readers' common parts; use the makers below.
Result<std::string> read_text(const Node& node, std::size_t max_bytes, std::size_t min_bytes);
Result<std::int64_t> read_signed(const Node& node, std::int64_t min, std::int64_t max);
Result<std::uint64_t> read_unsigned(const Node& node, std::uint64_t min, std::uint64_t max);
Result<bool> read_boolean(const Node& node);
Result<std::uint64_t> read_size_text(const Node& node, std::uint64_t min, std::uint64_t max);
Result<std::uint64_t> read_duration_text(const Node& node, std::uint64_t min_ms,
                                         std::uint64_t max_ms);
Result<std::uint32_t> read_thousandths(const Node& node, std::uint32_t min, std::uint32_t max);
Result<std::string> read_choice(const Node& node, const std::vector<std::string_view>& choices);
Result<const JsonArray*> read_array(const Node& node, std::size_t max_items, std::size_t min_items);

inline auto text(std::size_t max_bytes, std::size_t min_bytes = 0) {
  return [=](const Node& node) { return read_text(node, max_bytes, min_bytes); };
}

// Lower-case "sha256:..."; see hash.h.
Result<std::string> read_digest(const Node& node);
Result<std::string> read_digest_or_empty(const Node& node);

inline auto boolean() {
  return [](const Node& node) { return read_boolean(node); };
}

// An integer within the range; a fraction is refused, even 1.0.
template <std::integral T>
auto integer(T min = std::numeric_limits<T>::min(), T max = std::numeric_limits<T>::max()) {
  return [=](const Node& node) -> Result<T> {
    if constexpr (std::is_signed_v<T>) {
      return static_cast<T>(TRY(read_signed(node, min, max)));
    } else {
      return static_cast<T>(TRY(read_unsigned(node, min, max)));
    }
  };
}

// "512M" -> bytes.
inline auto size_text(std::uint64_t min, std::uint64_t max) {
  return [=](const Node& node) { return read_size_text(node, min, max); };
}

// "1h30m" -> milliseconds.
inline auto duration_text(std::uint64_t min_ms, std::uint64_t max_ms) {
  return [=](const Node& node) { return read_duration_text(node, min_ms, max_ms); };
}

// A number with at most three decimals -> thousandths: 0.5 -> 500.
inline auto thousandths(std::uint32_t min, std::uint32_t max) {
  return [=](const Node& node) { return read_thousandths(node, min, max); };
}

// One of a few words: choice({"agent", "root"}).
inline auto choice(std::initializer_list<std::string_view> choices) {
  return [list = std::vector<std::string_view>(choices)](const Node& node) {
    return read_choice(node, list);
  };
}

// Text that `parse` (Result<T>(std::string_view)) accepts; its refusal is passed on with the place.
template <class Parse>
auto parsed(Parse parse, std::size_t max_bytes = kMaxArgBytes) {
  return [=](const Node& node) -> std::invoke_result_t<Parse, std::string_view> {
    auto result = parse(TRY(read_text(node, max_bytes, 0)));
    if (!result) return node.refuse(result.error().message);
    return result;
  };
}

template <class Reader>
auto list_of(Reader reader, std::size_t max_items, std::size_t min_items = 0) {
  return [=](const Node& node) -> Result<std::vector<ReadType<Reader>>> {
    const JsonArray* array = TRY(read_array(node, max_items, min_items));
    std::vector<ReadType<Reader>> out;
    out.reserve(array->size());
    for (std::size_t i = 0; i < array->size(); ++i)
      out.push_back(TRY(reader(node.item(i, (*array)[i]))));
    return out;
  };
}

}  // namespace tare
