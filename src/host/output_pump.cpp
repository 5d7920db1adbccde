#include "host/output_pump.h"

#include <chrono>

#include "fiber/loop.h"
#include "fiber/timer.h"
#include "fiber/wait.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

// How long a run waits for a reader that does not come (back) before its output is dropped beyond
// the kept log.
constexpr fiber::Duration kReaderGrace = 60s;
// A terminal that nobody has open may be opened again.
constexpr fiber::Duration kTerminalPause = 20ms;

Result<> wait_for_room(OpenLog& open, const PumpRules& rules, const fiber::Context& ctx) {
  auto waited = open.changed.wait(ctx.with_timeout(kReaderGrace));
  if (rules.reader_goes()) {
    open.log->detach(open.log->attach(open.log->lengths()));
    open.log->wait_for_reader(false);
    return ok();
  }
  if (waited || waited.error().code != Errc::timeout) return waited;
  if (open.attached == 0) open.log->wait_for_reader(false);
  return ok();
}

}  // namespace

Result<> pump_output(OpenLog& open, runs::Stream stream, int pipe, const PumpRules& rules,
                     const fiber::Context& ctx, const fiber::Context* until_over) {
  const fiber::Context& more = until_over != nullptr ? *until_over : ctx;
  for (;;) {
    const bool over = rules.over && rules.over();  // before the look at the pipe
    const runs::Pumped pumped = TRY(open.log->pump(stream, pipe, rules.from));
    if (pumped.bytes > 0) open.changed.notify_all();
    Result<> waited;
    switch (pumped.state) {
      case runs::PumpState::ended:
        if (over || rules.from == runs::OutputLog::From::pipe) return ok();
        waited = fiber::sleep_for(kTerminalPause, more);
        break;
      case runs::PumpState::more: fiber::yield(); break;
      case runs::PumpState::drained:
        if (over) return ok();
        waited = fiber::wait_readable(pipe, more);
        break;
      case runs::PumpState::blocked: TRY(wait_for_room(open, rules, ctx)); break;
      case runs::PumpState::refused: rules.over_limit(); return ok();
    }
    TRY(ctx.check());
    if (!waited && !(rules.over && rules.over())) return waited;
  }
}

}  // namespace tare::host
