// Offload: runs functions that block (SQLite, fsync, hashing a large file) on threads of their own
// while the fiber waits.
//
//   Offload writer(1, 1024);                             // one thread: its jobs never run at once
//   auto row = TRY(writer.run([&] { return db.insert(run); }, ctx));
//
// Owner: the thing that blocks (one thread for a database), or the program (a small pool for
// files). The function may refer to the caller's stack: run() returns only when the function has
// returned, or when it was taken from the queue before it began (Errc::cancelled, Errc::timeout).
// So a running function is not cancelled; give it a limit of its own. Errors: Errc::exhausted when
// the queue is full. The function runs outside the loop: it must not call anything of src/fiber and
// must not throw.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "fiber/context.h"

namespace tare::fiber {

class Offload {
 public:
  Offload(std::size_t threads, std::size_t queue_limit);
  // Waits for running functions. No fiber may be waiting in run().
  ~Offload();
  Offload(const Offload&) = delete;
  Offload& operator=(const Offload&) = delete;

  // `function` returns a Result<T>; so does run.
  template <class F>
  auto run(F&& function, const Context& ctx) -> std::invoke_result_t<F&> {
    std::optional<std::invoke_result_t<F&>> out;
    auto job = [&] { out.emplace(function()); };
    TRY(run_job([](void* argument) { (*static_cast<decltype(job)*>(argument))(); }, &job, ctx));
    return std::move(*out);
  }

 private:
  struct Job;
  struct State;
  Result<> run_job(void (*call)(void*), void* argument, const Context& ctx);
  std::unique_ptr<State> state_;
};

}  // namespace tare::fiber
