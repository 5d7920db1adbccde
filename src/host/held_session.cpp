#include "host/held_session.h"

#include <chrono>
#include <string_view>

#include <fmt/format.h>

namespace tare::host {

namespace {

// No less than between two tries (run_driver_keep.cpp).
constexpr std::chrono::seconds kOneTry{5};
// As snapshot::has_secret() has it.
constexpr std::string_view kSecret = "the secret \"";

std::string_view what_helps(const Error& why) {
  if (why.code == Errc::exhausted) return ", and hibernates as soon as there is room";
  if (why.code == Errc::unavailable) return ", and hibernates as soon as that is back";
  if (why.message.find(kSecret) != std::string::npos)
    return ", and hibernates as soon as the secret is out of the vault (`tare secret rm`, `tare "
           "canary rm`)";
  return "";
}

}  // namespace

std::string held_text(const LiveRun& live) {
  const Error why = live.unkept.value_or(Error{});
  return fmt::format(
      "{}{}its sandbox was discarded, and what it has written cannot be kept: {}. Nothing runs in "
      "it. This is tried again every few seconds{}; `tare session kill {}` gives it up",
      live.note, live.note.empty() ? "" : "; ", why.message, what_helps(why), live.run.id);
}

Error is_held_error(const LiveRun& live) {
  return Error{Errc::conflict, fmt::format("session {} is held: {}", live.run.id, held_text(live))};
}

Result<> until_not_held(LiveRun& live, const fiber::Context& ctx) {
  auto is_free = live.changed.wait_until([&] { return !live.is_held(); },
                                         ctx.with_timeout(kOneTry));
  if (is_free || is_free.error().code != Errc::timeout) return is_free;
  return is_held_error(live);
}

}  // namespace tare::host
