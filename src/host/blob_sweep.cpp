#include "host/blob_sweep.h"

#include "fiber/timer.h"

namespace tare::host {

void sweep_blobs(const BlobSweep& sweep, const fiber::Context& ctx) {
  do {
    const std::uint64_t now_ms = sweep.clock.wall_ms();
    const std::uint64_t before_ms = now_ms > kUnusedBlobMs ? now_ms - kUnusedBlobMs : 0;
    // A run that is admitted after this has renewed its inputs: they are too young to go.
    const Digests in_use = sweep.in_use();
    const auto removed = sweep.offload.run(
        [&] { return sweep.blobs.sweep_unused(before_ms, in_use); }, ctx);
    if (removed && *removed > 0) {
      sweep.log.info("removed uploads that nobody uses", {{"files", *removed}});
    } else if (!removed && ctx.check()) {
      sweep.log.error("unused uploads cannot be removed", removed.error());
    }
  } while (fiber::sleep_for(sweep.interval, ctx));
}

}  // namespace tare::host
