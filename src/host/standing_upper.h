// What a sandbox has changed, to be made layers of: its processes stand still for as long as this
// is there (the launcher stops them, tare-store copies), and go on when it goes, or is told to let
// them. One that has ended can be read until it is released. Who wants another one of the same
// sandbox waits until this one has gone: so what it is made of is recorded in the same order.
//
// Owner: one request or driver. Loop thread only. Errors: Errc::conflict with why it cannot stand
// still; conflict when it ended, or went to sleep, meanwhile; the store's. What never happens: a
// sandbox stands still after this is gone (but for one that is ended so); a file that is being
// written into it stands there under another name; two of one sandbox.
#pragma once

#include <array>
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

// A hibernation is when many layers are made few; a checkpoint is to be quick, and the next takes
// its place.
enum class KeptFor : std::uint8_t { night, checkpoint };

class [[nodiscard]] StandingUpper {
 public:
  static Result<StandingUpper> stop(LiveRun& live, const RunDeps& deps, const fiber::Context& ctx);
  StandingUpper(StandingUpper&& other) noexcept
      : live_(std::exchange(other.live_, nullptr)),
        deps_(other.deps_),
        alone_(std::move(other.alone_)),
        counted_(std::move(other.counted_)),
        goes_on_(other.goes_on_),
        standing_(std::move(other.standing_)) {}
  StandingUpper& operator=(StandingUpper&&) = delete;
  ~StandingUpper();

  // A layer above those that it stands on; without entries when nothing of that part has changed.
  Result<snapshot::Imported> freeze(UpperPart part, const fiber::Context& ctx) const;
  // All that it has changed since its request, its new layers behind the ones that it had. For a
  // checkpoint it goes on as soon as that is copied.
  Result<model::OwnLayers> own_layers(KeptFor kept_for, const fiber::Context& ctx);
  // How many processes stand still, tare-init among them.
  std::uint32_t processes() const { return standing_.processes; }
  // It is ended as it stands: it does not go on before.
  void stay() { goes_on_ = false; }

 private:
  StandingUpper(const LiveRun& live, const RunDeps& deps, Counted alone, Counted counted,
                StandingSandbox standing)
      : live_(&live),
        deps_(&deps),
        alone_(std::move(alone)),
        counted_(std::move(counted)),
        standing_(std::move(standing)) {}
  std::string since(UpperPart part) const;
  Result<snapshot::Imported> freeze(UpperPart part, const std::string& since,
                                    const StoreLink::OnProgress& on_progress,
                                    const fiber::Context& ctx) const;
  // Both parts at once, in the order of UpperPart.
  Result<std::array<snapshot::Imported, 2>> freeze_both(KeptFor kept_for,
                                                        const fiber::Context& ctx);
  void go_on();

  const LiveRun* live_;
  const RunDeps* deps_;
  Counted alone_, counted_;
  bool goes_on_ = true;
  StandingSandbox standing_;
};

}  // namespace tare::host
