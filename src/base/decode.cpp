#include "base/decode.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/text.h"

namespace tare {

namespace {

bool is_plain_key(std::string_view key) {
  constexpr std::string_view
      kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !key.empty() && key.size() <= kMaxQuotedBytes &&
         key.find_first_not_of(kPlain) == std::string_view::npos;
}

// A value in few words, for "found ...".
std::string shortly(const Json& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::string: return quote(value.get_string());
    case boost::json::kind::array: return "a list";
    case boost::json::kind::object: return "an object";
    default: return to_text(value);
  }
}

template <class T>
std::string range_text(std::string_view what, T min, T max) {
  return fmt::format("{} from {} to {}", what, min, max);
}

bool contains(const std::vector<std::string_view>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

}  // namespace

std::string path_text(const std::vector<PathPart>& path) {
  std::string text;
  for (const PathPart& part : path) {
    if (!part.is_key) {
      text += fmt::format("[{}]", part.index);
    } else if (is_plain_key(part.key)) {
      if (!text.empty()) text += '.';
      text += part.key;
    } else {
      text += fmt::format("[{}]", quote(part.key));
    }
  }
  return text;
}

std::vector<PathPart> Node::path() const {
  std::vector<PathPart> path;
  for (const Node* node = this; node->parent_ != nullptr; node = node->parent_)
    path.push_back(node->part_);
  std::reverse(path.begin(), path.end());
  return path;
}

Error Node::refuse(std::string_view why) const {
  const std::vector<PathPart> parts = path();
  Error error{Errc::invalid, std::string(why), 0, path_text(parts)};
  if (!error.field.empty()) error.message = error.field + ": " + error.message;
  if (source_ != nullptr) error.message = source_->locate(parts) + ": " + error.message;
  return error;
}

Error Node::expected(std::string_view what) const {
  return refuse(fmt::format("expected {}, found {}", what, shortly(value_)));
}

Fields::Fields(const Node& node) : node_(node), object_(node.value().if_object()) {
  if (object_ == nullptr) wrong_ = node.expected(node.object_word());
}

bool Fields::has(std::string_view key) const {
  return object_ != nullptr && object_->contains(key);
}

const Json* Fields::declare(std::string_view key, bool must) {
  CHECK(!contains(allowed_, key));
  allowed_.push_back(key);
  if (object_ == nullptr) return nullptr;
  const Json* value = object_->if_contains(key);
  if (value == nullptr && must && !missing_) {
    const Json nothing;
    missing_ = node_.member(key, nothing).refuse("required, but missing");
  }
  return value;
}

void Fields::reserved(std::string_view key, std::string_view why) {
  reserved_.push_back(key);
  if (object_ == nullptr || wrong_) return;
  const Json* value = object_->if_contains(key);
  if (value != nullptr) wrong_ = node_.member(key, *value).refuse(why);
}

std::optional<Error> Fields::unknown_key() const {
  if (object_ == nullptr || node_.unknown() == Unknown::ignore) return std::nullopt;
  for (const auto& member : *object_) {
    const std::string_view key = member.key();
    if (contains(allowed_, key) || contains(reserved_, key)) continue;
    return node_.member(key, member.value())
        .refuse(fmt::format("unknown key; allowed: {}", joined(allowed_)));
  }
  return std::nullopt;
}

Result<> Fields::finish() {
  if (std::optional<Error> unknown = unknown_key()) return std::move(*unknown);
  if (wrong_) return std::move(*wrong_);
  if (missing_) return std::move(*missing_);
  return ok();
}

Result<std::string> read_text(const Node& node, std::size_t max_bytes, std::size_t min_bytes) {
  const boost::json::string* value = node.value().if_string();
  if (value == nullptr) return node.expected("text");
  if (value->size() > max_bytes) {
    return node.refuse(
        fmt::format("{} bytes long, at most {} are allowed", value->size(), max_bytes));
  }
  if (value->size() < min_bytes) {
    if (min_bytes == 1) return node.refuse("must not be empty");
    return node.refuse(
        fmt::format("{} bytes long, at least {} are needed", value->size(), min_bytes));
  }
  if (std::string_view(*value).find('\0') != std::string_view::npos) {
    return node.refuse("must not hold a NUL character");
  }
  return std::string(*value);
}

Result<std::int64_t> read_signed(const Node& node, std::int64_t min, std::int64_t max) {
  const std::int64_t* value = node.value().if_int64();
  if (value == nullptr || *value < min || *value > max) {
    return node.expected(range_text("an integer", min, max));
  }
  return *value;
}

Result<std::uint64_t> read_unsigned(const Node& node, std::uint64_t min, std::uint64_t max) {
  std::optional<std::uint64_t> value;
  if (const std::uint64_t* large = node.value().if_uint64()) value = *large;
  if (const std::int64_t* small = node.value().if_int64(); small != nullptr && *small >= 0) {
    value = static_cast<std::uint64_t>(*small);
  }
  if (!value || *value < min || *value > max) {
    return node.expected(range_text("an integer", min, max));
  }
  return *value;
}

Result<bool> read_boolean(const Node& node) {
  const bool* value = node.value().if_bool();
  if (value == nullptr) return node.expected("true or false");
  return *value;
}

Result<std::uint64_t> read_size_text(const Node& node, std::uint64_t min, std::uint64_t max) {
  const boost::json::string* value = node.value().if_string();
  if (value == nullptr) return node.expected(R"(a size in quotes such as "512M")");
  const Result<std::uint64_t> bytes = parse_size(*value);
  if (!bytes) return node.refuse(bytes.error().message);
  if (*bytes < min || *bytes > max) {
    return node.refuse(fmt::format("{} is out of range: allowed are {} to {}", quote(*value),
                                   format_size(min), format_size(max)));
  }
  return *bytes;
}

Result<std::uint64_t> read_duration_text(const Node& node, std::uint64_t min_ms,
                                         std::uint64_t max_ms) {
  const boost::json::string* value = node.value().if_string();
  if (value == nullptr) return node.expected(R"(a duration in quotes such as "30s")");
  const Result<std::uint64_t> duration_ms = parse_duration(*value);
  if (!duration_ms) return node.refuse(duration_ms.error().message);
  if (*duration_ms < min_ms || *duration_ms > max_ms) {
    return node.refuse(fmt::format("{} is out of range: allowed are {} to {}", quote(*value),
                                   format_duration(min_ms), format_duration(max_ms)));
  }
  return *duration_ms;
}

Result<std::uint32_t> read_thousandths(const Node& node, std::uint32_t min, std::uint32_t max) {
  const auto refused = [&] {
    return node.expected(fmt::format("a number from {} to {} with at most three decimals",
                                     static_cast<double>(min) / 1000,
                                     static_cast<double>(max) / 1000));
  };
  double value = 0;
  if (const std::int64_t* whole = node.value().if_int64()) {
    value = static_cast<double>(*whole);
  } else if (const double* number = node.value().if_double()) {
    value = *number;
  } else {
    return refused();
  }
  // Compared as doubles first, so that the conversion below cannot overflow.
  if (!(value * 1000 >= min - 0.5 && value * 1000 <= max + 0.5)) return refused();
  const double scaled = std::round(value * 1000);
  if (std::abs(scaled - value * 1000) > 1e-6 || scaled < min || scaled > max) return refused();
  return static_cast<std::uint32_t>(scaled);
}

Result<std::string> read_choice(const Node& node, const std::vector<std::string_view>& choices) {
  const boost::json::string* value = node.value().if_string();
  if (value == nullptr || !contains(choices, *value)) {
    return node.expected(fmt::format("one of {}", joined(choices)));
  }
  return std::string(*value);
}

Result<std::string> read_digest(const Node& node) {
  const boost::json::string* value = node.value().if_string();
  if (value == nullptr || !is_digest(*value)) {
    return node.expected("a digest (sha256: and 64 lower-case hexadecimal digits)");
  }
  return std::string(*value);
}

Result<std::string> read_digest_or_empty(const Node& node) {
  const boost::json::string* value = node.value().if_string();
  if (value != nullptr && value->empty()) return std::string();
  return read_digest(node);
}

Result<const JsonArray*> read_array(const Node& node, std::size_t max_items,
                                    std::size_t min_items) {
  const JsonArray* array = node.value().if_array();
  if (array == nullptr) return node.expected("a list");
  if (array->size() > max_items) {
    return node.refuse(fmt::format("{} items, at most {} are allowed", array->size(), max_items));
  }
  if (array->size() < min_items) {
    if (min_items == 1) return node.refuse("must not be empty");
    return node.refuse(fmt::format("{} items, at least {} are needed", array->size(), min_items));
  }
  return array;
}

}  // namespace tare
