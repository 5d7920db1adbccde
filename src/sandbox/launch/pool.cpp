#include "sandbox/launch/pool.h"

#include <algorithm>

namespace tare::sandbox {

namespace {

constexpr std::uint64_t kReviewUs = 60'000'000;
constexpr std::uint64_t kForgetUs = 600'000'000;
constexpr std::uint64_t kRetryUs = 10'000'000;  // after one could not be made
constexpr std::uint64_t kQuietUs = 4'000;
constexpr std::size_t kLeast = 2;  // of a kind that is in use
constexpr std::size_t kMostKinds = 64;

}  // namespace

bool WarmPool::poolable(const SandboxBase& base) {
  return base.network == model::Network::none &&
         model::scratch_of(base.limits) == model::Scratch::memory;
}

// As it is used now. Null: it cannot wait, or there is no room for another kind.
WarmPool::Kind* WarmPool::kind_of(const SandboxBase& base, std::uint64_t now_us) {
  if (most_ == 0 || !poolable(base)) return nullptr;
  const std::string key = key_of(base);
  if (!kinds_.contains(key) && kinds_.size() >= kMostKinds && !make_room(key)) return nullptr;
  Kind& kind = kinds_[key];
  if (kind.used_us == 0) kind.reviewed_us = now_us;
  kind.base = base;
  kind.used_us = now_us;
  return &kind;
}

bool WarmPool::expect(const SandboxBase& base, std::uint64_t now_us) {
  Kind* kind = kind_of(base, now_us);
  if (kind == nullptr) return false;
  kind->target = std::max(kind->target, std::min(most_, kLeast));
  return true;
}

std::optional<std::uint32_t> WarmPool::take(const SandboxBase& base, std::uint64_t now_us) {
  last_launch_us_ = now_us;
  Kind* used = kind_of(base, now_us);
  if (used == nullptr) return std::nullopt;
  Kind& kind = *used;
  if (kind.idle.empty()) {
    kind.least_idle = 0;
    kind.target = std::min(most_, std::max(kLeast, kind.target * 2));
    return std::nullopt;
  }
  const std::uint32_t number = kind.idle.front();
  kind.idle.pop_front();
  kind.least_idle = std::min(kind.least_idle, kind.idle.size());
  return number;
}

std::optional<bool> WarmPool::has_one(const std::string& key, std::uint64_t now_us) const {
  const auto found = kinds_.find(key);
  if (found == kinds_.end()) return false;
  const Kind& kind = found->second;
  if (!kind.idle.empty()) return true;
  const bool comes = kind.making > 0 || (kind.target > 0 && kind.retry_us <= now_us);
  return comes ? std::nullopt : std::optional(false);
}

void WarmPool::making(const std::string& key) {
  if (const auto kind = kinds_.find(key); kind != kinds_.end()) ++kind->second.making;
}

bool WarmPool::ready(const std::string& key, std::uint32_t number) {
  const auto found = kinds_.find(key);
  if (found == kinds_.end()) return false;
  if (found->second.making > 0) --found->second.making;
  found->second.idle.push_back(number);
  return true;
}

void WarmPool::not_made(const std::string& key, std::uint64_t now_us) {
  const auto found = kinds_.find(key);
  if (found == kinds_.end()) return;
  if (found->second.making > 0) --found->second.making;
  if (now_us > 0) found->second.retry_us = now_us + kRetryUs;
}

void WarmPool::gone(const std::string& key, std::uint32_t number) {
  if (const auto kind = kinds_.find(key); kind != kinds_.end())
    std::erase(kind->second.idle, number);
}

void WarmPool::keep_plan(const std::string& key, sys::UniqueFd plan) {
  const auto kind = kinds_.find(key);
  if (kind != kinds_.end() && !kind->second.plan.valid()) kind->second.plan = std::move(plan);
}

int WarmPool::plan(const std::string& key) const {
  const auto kind = kinds_.find(key);
  return kind == kinds_.end() ? -1 : kind->second.plan.get();
}

bool WarmPool::may_make(const Kind& kind, std::uint64_t now_us) const {
  if (kind.idle.size() + kind.making >= kind.target || kind.retry_us > now_us) return false;
  const bool many = (kind.idle.size() + kind.making) * 2 >= kind.target;
  return !many || last_launch_us_ + kQuietUs <= now_us;
}

std::optional<SandboxBase> WarmPool::wanted(std::uint64_t now_us) const {
  const bool quiet = last_launch_us_ + kQuietUs <= now_us;
  if (being_made() >= (quiet ? at_once_ : (at_once_ + 1) / 2)) return std::nullopt;
  if (idle() + being_made() >= most_) return std::nullopt;
  const Kind* best = nullptr;
  for (const auto& [key, kind] : kinds_) {
    if (may_make(kind, now_us) && (best == nullptr || kind.used_us > best->used_us)) best = &kind;
  }
  return best == nullptr ? std::nullopt : std::optional(best->base);
}

void WarmPool::review(Kind& kind, std::uint64_t now_us) const {
  if (now_us - kind.used_us >= kForgetUs) {
    kind.target = 0;
  } else if (now_us - kind.reviewed_us >= kReviewUs) {
    kind.target = std::max(std::min(kLeast, most_), kind.target - (kind.least_idle + 1) / 2);
    kind.least_idle = kind.idle.size();
    kind.reviewed_us = now_us;
  }
}

std::vector<std::uint32_t> WarmPool::surplus(std::uint64_t now_us) {
  std::vector<std::uint32_t> out;
  for (auto kind = kinds_.begin(); kind != kinds_.end();) {
    review(kind->second, now_us);
    while (kind->second.idle.size() > kind->second.target) {
      out.push_back(kind->second.idle.back());
      kind->second.idle.pop_back();
    }
    const bool forgotten = kind->second.target == 0 && kind->second.making == 0;
    kind = forgotten ? kinds_.erase(kind) : std::next(kind);
  }
  // A newer kind that is short of sandboxes takes the place of the one used longest ago.
  for (auto& [key, kind] : kinds_) {
    if (kind.idle.size() + kind.making >= kind.target || idle() + being_made() < most_) continue;
    const auto oldest = std::ranges::min_element(kinds_, {}, [](const auto& entry) {
      return entry.second.idle.empty() ? ~std::uint64_t{0} : entry.second.used_us;
    });
    Kind& victim = oldest->second;
    if (victim.idle.empty() || victim.used_us >= kind.used_us) continue;
    out.push_back(victim.idle.back());
    victim.idle.pop_back();
    victim.target = victim.idle.size();
  }
  return out;
}

std::uint64_t WarmPool::next_change_us(std::uint64_t now_us) const {
  std::uint64_t next = 0;
  const auto earlier = [&next](std::uint64_t at) { next = next == 0 ? at : std::min(next, at); };
  for (const auto& [key, kind] : kinds_) {
    if (kind.target == 0) continue;  // forgotten, but for what is being made
    earlier(std::min(kind.reviewed_us + kReviewUs, kind.used_us + kForgetUs));
    if (kind.retry_us > now_us) earlier(kind.retry_us);
    if (kind.idle.size() + kind.making < kind.target && last_launch_us_ + kQuietUs > now_us)
      earlier(last_launch_us_ + kQuietUs);
  }
  return next;
}

// Forgets the kind that was used longest ago and has nothing waiting.
bool WarmPool::make_room(const std::string& but) {
  auto oldest = kinds_.end();
  for (auto kind = kinds_.begin(); kind != kinds_.end(); ++kind) {
    const bool empty = kind->second.idle.empty() && kind->second.making == 0;
    const bool older = oldest == kinds_.end() || kind->second.used_us < oldest->second.used_us;
    if (empty && older && kind->first != but) oldest = kind;
  }
  if (oldest == kinds_.end()) return false;
  kinds_.erase(oldest);
  return true;
}

std::size_t WarmPool::idle() const {
  std::size_t sum = 0;
  for (const auto& [key, kind] : kinds_) sum += kind.idle.size();
  return sum;
}

std::size_t WarmPool::being_made() const {
  std::size_t sum = 0;
  for (const auto& [key, kind] : kinds_) sum += kind.making;
  return sum;
}

}  // namespace tare::sandbox
