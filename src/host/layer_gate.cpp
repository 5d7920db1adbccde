#include "host/layer_gate.h"

namespace tare::host {

Result<LayerGate::Scope> LayerGate::publish(const fiber::Context& ctx) {
  auto held_back = changed_.wait_until([this] { return sweeps_ == 0 && waiting_ == 0; },
                                       ctx.with_timeout(patience_));
  if (!held_back && held_back.error().code != Errc::timeout) return std::move(held_back).error();
  TRY(ctx.check());
  TRY(changed_.wait_until([this] { return sweeps_ == 0; }, ctx));
  return Scope(publishers_, changed_);
}

Result<LayerGate::Scope> LayerGate::sweep(const fiber::Context& ctx, Sweep kind) {
  const auto refused = [&] { return sweeps_ > 0 && (kind == kind_ || kind == Sweep::quiet); };
  if (refused())
    return Error{Errc::conflict,
                 "unused layers are being removed already: try again when that is done"};
  const auto patient = ctx.with_timeout(patience(kind));
  const Scope holding_back(waiting_, changed_);
  const auto alone = [&] { return refused() || (publishers_ == 0 && sweeps_ == 0); };
  auto waited = changed_.wait_until(alone, patient);
  if (!waited && waited.error().code == Errc::timeout) {
    return Error{Errc::conflict,
                 "a build or another new layer is being stored; try again when it is done "
                 "(`tare ps` shows builds)"};
  }
  TRY(std::move(waited));
  if (refused())
    return Error{Errc::conflict,
                 "unused layers are being removed already: try again when that is done"};
  kind_ = kind;
  return Scope(sweeps_, changed_);
}

Result<> LayerGate::readers_gone(const fiber::Context& ctx, Sweep kind) {
  const std::uint64_t before = ++generation_;
  auto gone = changed_.wait_until(
      [&] {
        for (auto it = readers_.begin(); it != readers_.end() && it->first < before;) {
          if (it->second > 0) return false;
          it = readers_.erase(it);
        }
        return true;
      },
      ctx.with_timeout(patience(kind)));
  if (gone || gone.error().code != Errc::timeout) return gone;
  TRY(ctx.check());
  return Error{Errc::conflict,
               "what began before may still come to need it (a session that gets another runner, "
               "say): try again in a moment"};
}

}  // namespace tare::host
