// Uid ranges. Each sandbox has a slot: 65,536 host ids that nobody else has. A slot rests for a
// while after its sandbox has ended, so that a late write of one can never be mistaken for the next
// one's; beyond that few slots are used often, as the user namespace of each (UserNamespaces) is
// kept.
//
// Owner: tare-launcher's table; single thread. The ranges start at 0x70000000, above systemd's own
// (0x80000 to 0x6FFFFFFF); TARE_HOMEs share that space in blocks, chosen by hash or by --uid-block.
// Errors: Errc::exhausted. What never happens: a slot is leased twice at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tare::sandbox {

inline constexpr std::uint32_t kFirstUid = 0x7000'0000;
inline constexpr std::uint32_t kSlotsPerBlock = 2048;
inline constexpr std::uint32_t kUidBlocks = 16;

struct Slot {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // how often it has been leased
  uid_t base = 0;                // host id of 0 inside
};

class [[nodiscard]] SlotTable {
 public:
  explicit SlotTable(std::uint32_t block);
  // In a user namespace of our own all share the one range that there is, at 0.
  static SlotTable shared();
  uid_t first_uid() const { return uid_of(0); }
  Result<Slot> lease();
  void give_back(const Slot& slot);

 private:
  // So many others are leased before one is leased again.
  static constexpr std::size_t kRest = 24;

  uid_t uid_of(std::uint32_t index) const;

  std::uint32_t block_;
  bool shared_ = false;
  std::vector<std::uint32_t> generations_;  // of the slots that have been leased once
  std::deque<std::uint32_t> free_;          // of those; the one that rested longest is first
};

// A slot for as long as it is in use.
class SlotLease {
 public:
  static Result<SlotLease> take(SlotTable& table);
  SlotLease(SlotLease&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), slot_(other.slot_) {}
  SlotLease& operator=(SlotLease&&) = delete;
  ~SlotLease() {
    if (table_ != nullptr) table_->give_back(slot_);
  }
  const Slot& slot() const { return slot_; }
  // Never to be leased again: what was in it could not be taken away.
  void retire() { table_ = nullptr; }

 private:
  SlotLease(SlotTable& table, Slot slot) : table_(&table), slot_(slot) {}
  SlotTable* table_;
  Slot slot_;
};

}  // namespace tare::sandbox
