// UniqueFunction<R(Args...)>: a callable that may own move-only things (a Socket, a UniqueFd);
// std::function would demand a copy. Move-only; calling an empty one is a bug. Threads: a plain
// value, not shared.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace tare::fiber {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;

  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, UniqueFunction> &&
             std::is_invocable_r_v<R, F&, Args...>)
  UniqueFunction(F&& callable)  // NOLINT(google-explicit-constructor)
      : impl_(std::make_unique<Model<std::remove_cvref_t<F>>>(std::forward<F>(callable))) {}

  explicit operator bool() const { return impl_ != nullptr; }

  R operator()(Args... args) {
    CHECK(impl_ != nullptr);
    return impl_->call(std::forward<Args>(args)...);
  }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual R call(Args... args) = 0;
  };
  template <class F>
  struct Model final : Base {
    template <class G>
      requires(!std::is_same_v<std::decay_t<G>, Model>)
    explicit Model(G&& g) : callable(std::forward<G>(g)) {}
    R call(Args... args) override { return callable(std::forward<Args>(args)...); }
    F callable;
  };

  std::unique_ptr<Base> impl_;
};

}  // namespace tare::fiber
