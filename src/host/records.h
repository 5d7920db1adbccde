// Records: the store of runs, agents and environments, for fibers. The store blocks on the disk, so
// it lives on the thread of a GroupCommitter; calls that come while the disk is busy share the next
// commit.
//
//   auto run = TRY(records.run([&](runs::Store& store) { return store.get_run(tenant, id); }));
//
// Owner: main. Call from the loop's thread. Errors: those of the operation or of the commit. What
// never happens: an answer before it is durable; a wait that is given up (the operation may refer
// to the caller's stack).
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "fiber/event.h"
#include "fiber/loop.h"
#include "runs/store_sqlite.h"
#include "sql/group_commit.h"

namespace tare::host {

class Records {
 public:
  // `store` is used by the committer's thread only from here on. Both must outlive this.
  Records(fiber::Loop& loop, runs::SqliteStore& store)
      : loop_(loop), store_(store), committer_(store.database(), {}) {}

  // Queues the operation and goes on; `done` gets its Result on the loop, outside any fiber.
  // Operations are carried out in the order they were queued.
  template <class Operation, class Done>
  void queue(Operation operation, Done done) {
    committer_.submit(on_store(std::move(operation)), on_loop(std::move(done)));
  }

  // The same, for what nobody waits for: it may take some ms more, to share another one's commit.
  template <class Operation, class Done>
  void queue_soon(Operation operation, Done done) {
    committer_.submit_soon(on_store(std::move(operation)), on_loop(std::move(done)));
  }

  // From an operation: to be done on the loop before that operation's answer is there, and before
  // it is durable. What the operation did may still be undone: its answer says so then.
  template <class Hint>
  void hint(Hint hint) {
    loop_.post(std::move(hint));
  }

  // The same as queue(), waiting for the answer. From a fiber.
  template <class Operation>
  auto run(Operation operation) -> std::invoke_result_t<Operation&, runs::Store&> {
    using Answer = std::invoke_result_t<Operation&, runs::Store&>;
    struct State {
      std::optional<Answer> answer;
      fiber::Event ready;
    };
    auto state = std::make_shared<State>();
    queue(std::move(operation), [state](Answer answer) {
      state->answer.emplace(std::move(answer));
      state->ready.notify_all();
    });
    while (!state->answer) CHECK(state->ready.wait(fiber::Context::background()).ok());
    return std::move(*state->answer);
  }

 private:
  template <class Operation>
  auto on_store(Operation operation) {
    return [&store = store_, op = std::move(operation)]() mutable { return op(store); };
  }
  template <class Done>
  auto on_loop(Done done) {
    return [&loop = loop_, done = std::move(done)](auto result) mutable {
      loop.post([done = std::move(done), result = std::move(result)]() mutable {
        done(std::move(result));
      });
    };
  }

  fiber::Loop& loop_;
  runs::SqliteStore& store_;
  sql::GroupCommitter committer_;
};

}  // namespace tare::host
