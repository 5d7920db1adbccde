#include "host/live_session.h"

#include <fmt/format.h>

#include "host/held_session.h"

namespace tare::host {

Result<std::shared_ptr<LiveRun>> live_session(RunService& runs, const std::string& id,
                                              const fiber::Context& ctx) {
  auto live = runs.live(id);
  if (!live) {
    const model::Run ended = TRY(runs.get(id));  // not_found
    return Error{Errc::conflict,
                 fmt::format("session {} has ended ({}): `tare session list` shows those that live",
                             id, model::to_string(ended.state))};
  }
  const auto has_come = [&] { return !live->swapping && (!live->is_going() || live->is_held()); };
  TRY(live->changed.wait_until(has_come, ctx));
  TRY(until_not_held(*live, ctx));
  TRY(live->changed.wait_until([&] { return !live->is_going() && !live->swapping; }, ctx));
  if (live->is_over())
    return Error{Errc::conflict,
                 fmt::format("session {} is ending: `tare session new` makes another", id)};
  if (live->started || (live->hibernates() && !live->driven)) return live;
  return Error{Errc::conflict, fmt::format("session {} is just being started: try again", id)};
}

}  // namespace tare::host
