#include "host/base_plans.h"

#include "base/hash.h"
#include "sandbox/plan/codec.h"
#include "sys/memfd.h"

namespace tare::host {

Result<const BasePlans::Sealed*> BasePlans::of(const sandbox::BaseKind& kind) {
  if (const auto found = sealed_.find(kind); found != sealed_.end()) return &found->second;
  const auto steps = TRY(sandbox::compile_base(kind, filters_.walls(kind.profile)));
  const std::string bytes = TRY(sandbox::encode(steps));
  Sealed made{sha256_text(bytes), TRY(sys::sealed_memfd("tare-base", bytes, false))};
  if (sealed_.size() >= kMost) sealed_.clear();
  return &sealed_.emplace(kind, std::move(made)).first->second;
}

}  // namespace tare::host
