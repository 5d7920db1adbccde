#include "host/layer_gate.h"

namespace tare::host {

Result<LayerGate::Scope> LayerGate::publish(const fiber::Context& ctx) {
  TRY(changed_.wait_until([this] { return sweeps_ == 0; }, ctx));
  return Scope(publishers_, changed_);
}

Result<LayerGate::Scope> LayerGate::sweep(const fiber::Context& ctx) {
  if (sweeps_ > 0)
    return Error{Errc::conflict,
                 "unused layers are being removed already: try again when that is done"};
  const auto patience = ctx.with_timeout(kSweepPatience);
  auto waited = changed_.wait_until([this] { return publishers_ == 0; }, patience);
  if (!waited && waited.error().code == Errc::timeout) {
    return Error{Errc::conflict,
                 "a build or another new layer is being stored; try again when it is done "
                 "(`tare ps` shows builds)"};
  }
  TRY(std::move(waited));
  if (sweeps_ > 0)
    return Error{Errc::conflict,
                 "unused layers are being removed already: try again when that is done"};
  return Scope(sweeps_, changed_);
}

Result<> LayerGate::readers_gone(const fiber::Context& ctx) {
  const std::uint64_t before = ++generation_;
  return changed_.wait_until(
      [&] {
        for (auto it = readers_.begin(); it != readers_.end() && it->first < before;) {
          if (it->second > 0) return false;
          it = readers_.erase(it);
        }
        return true;
      },
      ctx);
}

}  // namespace tare::host
