#include "base/json.h"

#include <string.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/core.h>
#include <boost/json/basic_parser_impl.hpp>

#include "base/secret.h"
#include "base/secret_json.h"
#include "base/text.h"

namespace tare {

namespace {

using boost::json::error_code;

// Builds the value while the parser walks the text. Boost's own builder keeps the last of two equal
// keys; this one refuses the second, because two readers that choose differently can be played
// against each other.
class Builder {
 public:
  static constexpr std::size_t max_array_size = kMaxJsonBodyBytes;
  static constexpr std::size_t max_object_size = kMaxJsonBodyBytes;
  static constexpr std::size_t max_string_size = std::size_t{1} << 30;
  static constexpr std::size_t max_key_size = std::size_t{1} << 20;

  // Everything it makes, also on the way, is in that memory.
  explicit Builder(boost::json::storage_ptr memory)
      : memory_(std::move(memory)), text_(memory_), root_(memory_) {}

  Json take() { return std::move(root_); }
  // Why a callback said no; empty when the parser itself found the fault.
  const std::string& refusal() const { return refusal_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(Json(boost::json::object_kind, memory_)); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return open(Json(boost::json::array_kind, memory_)); }
  bool on_array_end(std::size_t, error_code&) { return close(); }

  bool on_key_part(std::string_view part, std::size_t, error_code&) { return collect(part); }
  bool on_key(std::string_view part, std::size_t, error_code& ec) {
    collect(part);
    if (open_.back().container.get_object().contains(text_)) {
      return refuse(ec, fmt::format("the key {} is there twice", quote(text_)));
    }
    open_.back().key = text_;
    text_.clear();
    return true;
  }
  bool on_string_part(std::string_view part, std::size_t, error_code&) { return collect(part); }
  bool on_string(std::string_view part, std::size_t, error_code&) {
    collect(part);
    const bool added = add(Json(text_, memory_));
    text_.clear();
    return added;
  }
  bool on_number_part(std::string_view part, error_code&) { return collect(part); }
  bool on_int64(std::int64_t value, std::string_view, error_code&) { return number(Json(value)); }
  bool on_uint64(std::uint64_t value, std::string_view, error_code&) { return number(Json(value)); }
  // Boost's own conversion can be off by the last bit; from_chars cannot.
  bool on_double(double, std::string_view part, error_code& ec) {
    collect(part);
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    const bool whole = error == std::errc{} && end == text_.data() + text_.size();
    if (!whole) return refuse(ec, fmt::format("{} is out of range", quote(text_)));
    return number(Json(value));
  }
  bool on_bool(bool value, error_code&) { return add(Json(value)); }
  bool on_null(error_code&) { return add(Json(nullptr)); }
  bool on_comment_part(std::string_view, error_code&) { return true; }
  bool on_comment(std::string_view, error_code&) { return true; }

 private:
  struct Open {
    Json container;
    boost::json::string key;  // of the member whose value comes next
  };

  bool collect(std::string_view part) {
    text_ += part;
    return true;
  }
  bool number(Json value) {
    text_.clear();
    return add(std::move(value));
  }
  bool open(Json container) {
    open_.push_back(Open{std::move(container), boost::json::string(memory_)});
    return true;
  }
  bool close() {
    Json done = std::move(open_.back().container);
    open_.pop_back();
    return add(std::move(done));
  }
  bool add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (JsonArray* array = open_.back().container.if_array()) {
      array->push_back(std::move(value));
    } else {
      open_.back().container.get_object().emplace(open_.back().key, std::move(value));
    }
    return true;
  }
  bool refuse(error_code& ec, std::string why) {
    refusal_ = std::move(why);
    ec = boost::json::error::extra_data;  // any code: refusal_ is what is told
    return false;
  }

  boost::json::storage_ptr memory_;
  std::vector<Open> open_;
  boost::json::string text_;
  std::string refusal_;
  Json root_;
};

Error not_json(std::string_view text, std::size_t offset, std::string_view why) {
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == std::string_view::npos ? offset : offset - newline - 1;
  return Error{Errc::invalid,
               fmt::format("not valid JSON: line {}, column {}: {}", line, column + 1, why)};
}

enum class Form : std::uint8_t { compact, canonical, pretty };

class Writer {
 public:
  explicit Writer(Form form) : form_(form) {}
  std::string take() { return std::move(out_); }

  void value(const Json& value) {
    switch (value.kind()) {
      case boost::json::kind::null: out_ += "null"; break;
      case boost::json::kind::bool_: out_ += value.get_bool() ? "true" : "false"; break;
      case boost::json::kind::int64: out_ += fmt::format("{}", value.get_int64()); break;
      case boost::json::kind::uint64: out_ += fmt::format("{}", value.get_uint64()); break;
      case boost::json::kind::double_: number(value.get_double()); break;
      case boost::json::kind::string: text(value.get_string()); break;
      case boost::json::kind::array: array(value.get_array()); break;
      case boost::json::kind::object: object(value.get_object()); break;
    }
  }

 private:
  // The shortest text that reads back as the same number, and still as one with a fraction.
  void number(double value) {
    if (!std::isfinite(value)) {
      out_ += "null";
      return;
    }
    const std::string text = fmt::format("{}", value);
    out_ += text;
    if (text.find_first_of(".e") == std::string::npos) out_ += ".0";
  }
  void text(std::string_view value) { append_json_string(out_, value, std::string_view::npos); }

  void array(const JsonArray& items) {
    out_ += '[';
    ++depth_;
    bool first = true;
    for (const Json& item : items) {
      next(first);
      value(item);
    }
    close(items.empty(), ']');
  }

  void object(const JsonObject& members) {
    std::vector<const boost::json::key_value_pair*> order;
    order.reserve(members.size());
    for (const auto& member : members) order.push_back(&member);
    if (form_ == Form::canonical) {
      std::sort(order.begin(), order.end(),
                [](const auto* a, const auto* b) { return a->key() < b->key(); });
    }
    out_ += '{';
    ++depth_;
    bool first = true;
    for (const auto* member : order) {
      next(first);
      text(member->key());
      out_ += form_ == Form::pretty ? ": " : ":";
      value(member->value());
    }
    close(order.empty(), '}');
  }

  void next(bool& first) {
    if (!first) out_ += ',';
    first = false;
    indent();
  }
  void close(bool empty, char bracket) {
    --depth_;
    if (!empty) indent();
    out_ += bracket;
  }
  void indent() {
    if (form_ == Form::pretty) out_ += '\n' + std::string(2 * depth_, ' ');
  }

  Form form_;
  std::size_t depth_ = 0;
  std::string out_;
};

std::string written(const Json& value, Form form) {
  Writer writer(form);
  writer.value(value);
  return writer.take();
}

// Overwrites what is given back.
class WipingMemory final : public boost::json::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t align) override {
    return below_->allocate(bytes, align);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t align) override {
    ::explicit_bzero(memory, bytes);
    below_->deallocate(memory, bytes, align);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  boost::json::storage_ptr below_;  // the default
};

Result<Json> parse(std::string_view text, JsonLimits limits, boost::json::storage_ptr memory) {
  if (text.size() > limits.max_bytes) {
    return Error{Errc::exhausted, fmt::format("JSON of {} bytes: at most {} are allowed",
                                              text.size(), limits.max_bytes)};
  }
  boost::json::parse_options options;
  options.max_depth = limits.max_depth;
  boost::json::basic_parser<Builder> parser(options, std::move(memory));
  error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && used < text.size()) ec = boost::json::error::extra_data;
  if (ec) {
    const std::string& refusal = parser.handler().refusal();
    return not_json(text, used, refusal.empty() ? ec.message() : refusal);
  }
  return parser.handler().take();
}

}  // namespace

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
  return parse(text, limits, {});
}

Result<Json> parse_secret_json(std::string_view text) {
  static WipingMemory memory;
  return parse(text, {.max_bytes = kMaxSecretBytes}, &memory);
}

JsonArray text_list(const std::vector<std::string>& texts) {
  JsonArray list;
  list.reserve(texts.size());
  for (const std::string& text : texts) list.emplace_back(text);
  return list;
}

std::string to_text(const Json& value) { return written(value, Form::compact); }
std::string canonical_text(const Json& value) { return written(value, Form::canonical); }
std::string pretty_text(const Json& value) { return written(value, Form::pretty) + '\n'; }

}  // namespace tare
