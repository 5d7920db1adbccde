// Result<T>: either a value or an Error. TRY(expr): the value, or return the error from this
// function.
//
//   Result<Bytes> memory_limit(const Cgroup& cg) {
//     return parse_bytes(TRY(read_file_at(cg.dir(), "memory.max").context("cgroup limit")));
//   }
//
// Three kinds of trouble, three types: a refusal the caller can act on is a Result, a bug is a
// CHECK, an absence is a std::optional. No exception crosses our interfaces.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace tare {

struct Unit {
  friend bool operator==(Unit, Unit) { return true; }
};

template <class T = Unit>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  // Implicit, so that `return value;` and `return Error{...};` both work.
  // NOLINTBEGIN(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  // NOLINTEND(google-explicit-constructor)
  Result()
    requires std::is_same_v<T, Unit>
      : state_(std::in_place_index<0>, Unit{}) {}

  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }

  T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  const Error& error() const& {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

  T value_or(T otherwise) && {
    return ok() ? std::move(*std::get_if<0>(&state_)) : std::move(otherwise);
  }

  // Says what was being attempted, in front of the message; free when there is no error.
  Result context(std::string_view what) && {
    if (ok()) return std::move(*this);
    return std::move(*std::get_if<1>(&state_)).context(what);
  }

 private:
  std::variant<T, Error> state_;
};

inline Result<> ok() { return Result<>{}; }

}  // namespace tare

#define TARE_CONCAT_(a, b) a##b
#define TARE_CONCAT(a, b) TARE_CONCAT_(a, b)
// A unique name for each use, so that TRY nests without shadowing.
#define TRY_IMPL(expr, name)          \
  (__extension__({                    \
    auto name = (expr);               \
    if (!name) [[unlikely]]           \
      return std::move(name).error(); \
    std::move(name).value();          \
  }))
#define TRY(expr) TRY_IMPL(expr, TARE_CONCAT(try_, __COUNTER__))
