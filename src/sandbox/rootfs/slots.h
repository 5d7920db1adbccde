// Uid ranges. Each live sandbox has a slot: 65,536 host ids that nobody else has, and a user
// namespace that maps 0..65535 inside to them, kept for showing files (idmapped mounts). Slots of
// an ended sandbox are used again, in turn, so that a late write of one can never be mistaken for
// the next one's.
//
// Owner: tare-launcher. The ranges start at 0x70000000, above systemd's own (0x80000 to
// 0x6FFFFFFF); TARE_HOMEs share that space in blocks, chosen by hash or by --uid-block.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sandbox {

inline constexpr std::uint32_t kFirstUid = 0x7000'0000;
inline constexpr std::uint32_t kSlotsPerBlock = 1024;
inline constexpr std::uint32_t kUidBlocks = 32;

struct Slot {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // how often it has been leased
  uid_t base = 0;                // host id of 0 inside
  int user_namespace = -1;       // borrowed from the table
};

class [[nodiscard]] SlotTable {
 public:
  explicit SlotTable(std::uint32_t block);
  Result<Slot> lease();  // Errc::exhausted when all are taken
  void give_back(const Slot& slot);

 private:
  struct Entry {
    std::uint32_t generation = 0;
    sys::UniqueFd user_namespace;  // made at the first lease
  };
  std::uint32_t block_;
  std::vector<Entry> entries_;
  std::deque<std::uint32_t> free_;
};

// Maps 0..65535 inside the user namespace of `pid` to the range at `base`. For a process that waits
// to be mapped.
Result<> write_id_maps(pid_t pid, uid_t base);

}  // namespace tare::sandbox
