// Moves the output of a run or an exec from its pipe, or its terminal, to its log, and waits: for
// more of it, or for an attached reader to make room. One fiber for each stream.
//
// Loop thread only. Errors: Errc::cancelled; the log's own. What never happens: a reader that does
// not come back within a minute is waited for.
#pragma once

#include <functional>

#include "base/result.h"
#include "fiber/context.h"
#include "host/run_logs.h"

namespace tare::host {

struct PumpRules {
  // Who asked for the end does not wait for a reader that does not read: it is sent away.
  std::function<bool()> reader_goes;
  // There is more output than the limit allows. Called once; then no more is taken.
  std::function<void()> over_limit;
  // Nothing that counts is written any more, though the pipe may be held open: what is in it is
  // taken, and no more. Never, where not set.
  std::function<bool()> over = nullptr;
  runs::OutputLog::From from = runs::OutputLog::From::pipe;
};

// Until the pipe is at its end, or it is over. `until_over`: ends when `over` becomes true.
Result<> pump_output(OpenLog& open, runs::Stream stream, int pipe, const PumpRules& rules,
                     const fiber::Context& ctx, const fiber::Context* until_over = nullptr);

}  // namespace tare::host
