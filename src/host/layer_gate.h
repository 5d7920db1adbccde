// LayerGate: what keeps a sweep of unused layers apart from those who are about to use one.
//
//   auto reading = gate.read();                   // who goes from a name to a digest, until what
//   it
//   ... resolve, then record or list what for ... // found is recorded or among the live runs
//   auto publishing = TRY(gate.publish(ctx));     // who has the store make a layer, from before
//   the
//   ... store, then record ...                    // request until the layer is recorded: the store
//                                                 // may answer with one that was there, unused
//   auto lease = gate.lease(layers);              // while reading: who uses them for as long as it
//                                                 // takes somebody else, say who has an export
//                                                 sent
//   auto sweep = TRY(gate.sweep(ctx));            // nobody publishes while it is held
//   TRY(gate.readers_gone(ctx));                  // all that began to read before have ended
//   ... leave out what gate.is_leased() ...
//
// Readers never wait. A publisher waits for a sweep; a sweep for the publishers that were there
// before it, kSweepPatience long, a quiet one a fifth of it. Until then it holds back new ones:
// those who publish all the time would never let it begin. None is held back longer than that by
// sweeps that only wait, however many come one after the other; nor again longer than that by one
// that readers keep waiting.
//
// Owner: main. Loop thread only. Errors: Errc::cancelled; Errc::conflict for a second sweep, or one
// that publishers or readers keep waiting. What never happens: a publication and a sweep at the
// same time; a scope or a lease outlives the gate.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/event.h"

namespace tare::host {

class LayerGate {
 public:
  static constexpr std::chrono::seconds kSweepPatience{10};

  explicit LayerGate(fiber::Duration patience = kSweepPatience) : patience_(patience) {}
  LayerGate(const LayerGate&) = delete;
  LayerGate& operator=(const LayerGate&) = delete;

  // Holds its place until it goes.
  class Scope {
   public:
    Scope() = default;
    Scope(Scope&& other) noexcept
        : count_(std::exchange(other.count_, nullptr)), changed_(other.changed_) {}
    Scope& operator=(Scope&& other) noexcept {
      std::swap(count_, other.count_);
      std::swap(changed_, other.changed_);
      return *this;
    }
    ~Scope() {
      if (count_ == nullptr) return;
      --*count_;
      changed_->notify_all();
    }

   private:
    friend class LayerGate;
    Scope(std::size_t& count, fiber::Event& changed) : count_(&count), changed_(&changed) {
      ++count;
    }
    std::size_t* count_ = nullptr;
    fiber::Event* changed_ = nullptr;
  };

  // Holds its layers until it goes.
  class Lease {
   public:
    Lease(Lease&& other) noexcept : leased_(other.leased_), layers_(std::move(other.layers_)) {
      other.layers_.clear();
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      for (const std::string& layer : layers_) leased_.erase(leased_.find(layer));
    }

   private:
    friend class LayerGate;
    using Leased = std::multiset<std::string, std::less<>>;
    Lease(Leased& leased, std::vector<std::string> layers)
        : leased_(leased), layers_(std::move(layers)) {
      leased_.insert(layers_.begin(), layers_.end());
    }
    Leased& leased_;
    std::vector<std::string> layers_;
  };

  Scope read() { return {readers_[generation_], changed_}; }
  Lease lease(std::vector<std::string> layers) { return {leased_, std::move(layers)}; }
  bool is_leased(std::string_view layer) const { return leased_.contains(layer); }
  Result<Scope> publish(const fiber::Context& ctx);
  // `asked`: by somebody, who rather waits for a quiet one than be refused for it. A quiet one is
  // tried again later: it must not hold up those who publish for long.
  enum class Sweep : std::uint8_t { asked, quiet };
  Result<Scope> sweep(const fiber::Context& ctx, Sweep kind = Sweep::asked);
  // As long as a sweep of that kind waits for publishers.
  Result<> readers_gone(const fiber::Context& ctx, Sweep kind = Sweep::asked);

 private:
  fiber::Duration patience(Sweep kind) const {
    return kind == Sweep::asked ? patience_ : patience_ / 5;
  }

  std::uint64_t generation_ = 0;
  std::map<std::uint64_t, std::size_t> readers_;           // by the generation they began in
  std::size_t publishers_ = 0, sweeps_ = 0, waiting_ = 0;  // the last: sweeps, to begin
  Lease::Leased leased_;
  const fiber::Duration patience_;
  Sweep kind_ = Sweep::asked;  // of the one under way
  fiber::Event changed_;
};

}  // namespace tare::host
