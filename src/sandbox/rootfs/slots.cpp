#include "sandbox/rootfs/slots.h"

#include <string>

#include "base/check.h"
#include "sandbox/plan/plan.h"

namespace tare::sandbox {

SlotTable::SlotTable(std::uint32_t block) : block_(block) { CHECK(block < kUidBlocks); }

SlotTable SlotTable::shared() {
  SlotTable table(0);
  table.shared_ = true;
  return table;
}

Result<Slot> SlotTable::lease() {
  const bool fresh = free_.size() < kRest && generations_.size() < kSlotsPerBlock;
  if (!fresh && free_.empty()) {
    return Error{Errc::exhausted,
                 "all " + std::to_string(kSlotsPerBlock) + " sandboxes of this host are in use"};
  }
  std::uint32_t index = 0;
  if (fresh) {
    index = static_cast<std::uint32_t>(generations_.size());
    generations_.push_back(0);
  } else {
    index = free_.front();
    free_.pop_front();
  }
  return Slot{index, ++generations_[index], uid_of(index)};
}

uid_t SlotTable::uid_of(std::uint32_t index) const {
  if (shared_) return 0;
  return kFirstUid + (block_ * kSlotsPerBlock + index) * kIdRange;
}

void SlotTable::give_back(const Slot& slot) {
  CHECK(generations_[slot.index] == slot.generation);  // given back once, by its holder
  free_.push_back(slot.index);
}

Result<SlotLease> SlotLease::take(SlotTable& table) {
  const Slot slot = TRY(table.lease());
  return SlotLease(table, slot);
}

}  // namespace tare::sandbox
