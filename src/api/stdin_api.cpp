// /v1/runs/{id}/stdin: the request's body becomes the program's stdin, with backpressure.
#include "api/answers.h"
#include "api/handlers.h"
#include "api/pipes.h"
#include "fiber/task_group.h"
#include "sys/files.h"

namespace tare::api {

namespace {

struct Feeding {
  std::uint64_t given = 0;
  bool done = false;
  Result<> result;
};

bool is_over(const host::LiveRun& live) { return live.ended || live.lost || live.ended_durably(); }

}  // namespace

Result<> write_run_stdin(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  const model::Run run = TRY(services.runs.get(id));
  if (!run.request.with_stdin) return Error{Errc::conflict, "this run was made without stdin"};
  const auto live = services.runs.live(id);
  if (live && live->stdin_taken) return Error{Errc::conflict, "this run's stdin is fed already"};
  if (!live) return reply_json(exchange, 200, JsonObject{{"bytes", 0}});
  live->stdin_taken = true;
  const auto has_pipe = [&] { return live->stdin_write.valid() || is_over(*live); };
  TRY(live->changed.wait_until(has_pipe, exchange.context()));

  Feeding feeding;
  // Our own: the driver closes its copy when the run ends.
  sys::UniqueFd pipe;
  if (live->stdin_write.valid()) pipe = TRY(sys::dup_fd(live->stdin_write.get()));
  fiber::TaskGroup group(exchange.context());
  if (pipe.valid()) {
    group.spawn([&](const fiber::Context& ctx) {
      feeding.result = copy_body(exchange, pipe.get(), feeding.given, ctx);
      feeding.done = true;
      pipe.reset();
      live->stdin_write.reset();
      if (!feeding.result) live->add_note("stdin broke off: " + feeding.result.error().message);
      // The launcher has a copy, which outlives us; with the last one the program sees the end.
      (void)services.deps.launcher.send(sandbox::CloseStdinMessage{id}, {},
                                        fiber::Context::background());
      live->changed.notify_all();
    });
  }
  // The program may end while the client has nothing to send.
  TRY(live->changed.wait_until([&] { return feeding.done || is_over(*live); }, exchange.context()));
  if (feeding.done) TRY(feeding.result);
  return reply_json(exchange, 200, JsonObject{{"bytes", feeding.given}});
}

}  // namespace tare::api
