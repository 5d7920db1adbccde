#include "snapshot/import_budget.h"

#include <sys/mman.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/check.h"

namespace tare::snapshot {

Result<ImportBudget> ImportBudget::make(std::uint64_t max_bytes) {
  void* shared = ::mmap(nullptr, kImportSlots * sizeof(Use), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return sys_error(errno, "mmap");
  Use* uses = static_cast<Use*>(shared);
  for (std::size_t i = 0; i < kImportSlots; ++i) std::construct_at(uses + i);
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  return ImportBudget(uses, max_bytes);
}

void ImportBudget::close() {
  if (uses_ == nullptr) return;
  CHECK(::munmap(uses_, kImportSlots * sizeof(Use)) == 0);
  uses_ = nullptr;
}

std::optional<std::size_t> ImportBudget::take() {
  const auto free = std::ranges::find(taken_, false);
  if (free == taken_.end()) return std::nullopt;
  *free = true;
  return static_cast<std::size_t>(free - taken_.begin());
}

void ImportBudget::give_back(std::size_t slot) {
  uses_[slot].bytes = 0;
  uses_[slot].entries = 0;
  taken_[slot] = false;
}

Result<> ImportBudget::use(std::size_t slot, std::uint64_t bytes, std::uint64_t entries) const {
  // Said first, then compared: of two that cross the bound together one at least sees it.
  uses_[slot].bytes = bytes;
  uses_[slot].entries = entries;
  const auto over = [&](std::atomic<std::uint64_t> Use::* what, std::uint64_t most) {
    const std::uint64_t pot = most / 2, share = pot / kImportSlots;
    if ((uses_[slot].*what).load() <= share) return false;
    std::uint64_t beyond = 0;
    for (std::size_t i = 0; i < kImportSlots; ++i) {
      const std::uint64_t used = (uses_[i].*what).load();
      beyond += used - std::min(used, share);
    }
    return beyond > pot;
  };
  if (over(&Use::bytes, max_bytes_)) {
    return Error{Errc::exhausted, "the archives that are being unpacked take " +
                                      format_size_rounded(max_bytes_) +
                                      " together, the most they may: try again when others are "
                                      "done"};
  }
  if (over(&Use::entries, kMaxImportEntries)) {
    return Error{Errc::exhausted, "the archives that are being unpacked have " +
                                      std::to_string(kMaxImportEntries) +
                                      " files together, the most they may: try again when others "
                                      "are done"};
  }
  return ok();
}

Result<> check_free_space(int folder) {
  struct statvfs disk = {};
  if (::fstatvfs(folder, &disk) != 0) return sys_error(errno, "fstatvfs");
  const std::uint64_t block = disk.f_frsize, free = disk.f_bavail * block;
  const std::uint64_t least = std::min(kMinFreeBytes, disk.f_blocks * block / kMinFreeParts);
  if (free >= least) return ok();
  return Error{Errc::exhausted, "the disk of the store has " + format_size_rounded(free) +
                                    " left, and keeps " + format_size_rounded(least) +
                                    " free: `tare env gc` removes what nothing needs"};
}

}  // namespace tare::snapshot
