// The parts of HTTP messages as plain values: methods, header fields, heads. Names of fields are
// compared without regard to case. Values are bytes as received, without the spaces around them.
// Nothing here checks syntax: the codec does, in both directions. Source: RFC 9110. Threads: plain
// values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tare::http {

// The methods that exist for us; any other is refused with 501.
enum class Method : std::uint8_t { get, head, post, put, del, patch, options };

std::string_view to_string(Method method);  // "GET", ...
std::optional<Method> method_from(std::string_view text);

// "Not Found" for 404; "Unknown" for what has no name here.
std::string_view reason_of(int status);

bool equal_ignoring_case(std::string_view a, std::string_view b);

// Header fields in their order.
class Headers {
 public:
  struct Field {
    std::string name;
    std::string value;
    friend bool operator==(const Field&, const Field&) = default;
  };

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : fields_(fields) {}

  // The first of that name.
  std::optional<std::string_view> get(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  void add(std::string_view name, std::string_view value);
  // Replaces every field of that name by one.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void clear() { fields_.clear(); }

  std::size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  friend bool operator==(const Headers&, const Headers&) = default;

 private:
  std::vector<Field> fields_;
};

// How the body of a message is delimited. Exactly one of the three.
struct Framing {
  enum class Kind : std::uint8_t { length, chunked, until_close };
  Kind kind = Kind::length;
  std::uint64_t length = 0;  // bytes, for Kind::length
  friend bool operator==(const Framing&, const Framing&) = default;
};

// What both kinds of head have.
struct Head {
  int minor_version = 1;  // HTTP/1.0 or HTTP/1.1
  Headers headers;
  Framing framing;
  bool keep_alive = true;
};

struct RequestHead : Head {
  Method method = Method::get;
  std::string target;  // as spelled; see url.h
  std::string host;
  bool expects_continue = false;
};

struct ResponseHead : Head {
  int status = 200;
};

// A whole response, for handlers that have it in memory.
struct Response {
  int status = 200;
  Headers headers = {};
  std::string body = {};
};

}  // namespace tare::http
