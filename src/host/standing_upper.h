// What a sandbox has changed, to be made layers of: its processes stand still for as long as this
// is there (the launcher stops them, tare-store copies), and go on when it goes. One that has ended
// can be read until it is released.
//
// Owner: one request or driver. Loop thread only. Errors: Errc::conflict with why it cannot stand
// still; conflict when it ended meanwhile; the store's. What never happens: a sandbox stands still
// after this is gone (but for one that is ended so); a file that is being written into it stands
// there under another name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/launcher_link.h"
#include "host/live_run.h"
#include "host/run_deps.h"
#include "snapshot/protocol.h"

namespace tare::host {

// `environment`: what makes part of a frozen environment. `scratch`: what only its own sandbox is
// to find again: /tmp, /var/tmp and /output.
enum class UpperPart : std::uint8_t { environment, scratch };

class [[nodiscard]] StandingUpper {
 public:
  static Result<StandingUpper> stop(LiveRun& live, const RunDeps& deps, const fiber::Context& ctx);
  StandingUpper(StandingUpper&& other) noexcept
      : live_(std::exchange(other.live_, nullptr)),
        deps_(other.deps_),
        counted_(std::move(other.counted_)),
        standing_(std::move(other.standing_)) {}
  StandingUpper& operator=(StandingUpper&&) = delete;
  ~StandingUpper();

  // A layer above those that it stands on; without entries when nothing of that part has changed.
  Result<snapshot::Imported> freeze(UpperPart part, const fiber::Context& ctx) const;
  // All that it has changed since its request, its new layers behind the ones that it had.
  Result<model::OwnLayers> own_layers(const fiber::Context& ctx) const;
  // It is ended as it stands: it does not go on before.
  void stay() { goes_on_ = false; }

 private:
  StandingUpper(const LiveRun& live, const RunDeps& deps, Counted counted, StandingSandbox standing)
      : live_(&live), deps_(&deps), counted_(std::move(counted)), standing_(std::move(standing)) {}

  const LiveRun* live_;
  const RunDeps* deps_;
  Counted counted_;
  bool goes_on_ = true;
  StandingSandbox standing_;
};

}  // namespace tare::host
