// What all archives that are being unpacked may take on the disk together: one bound over the
// processes that unpack, kept where all of them see it.
//
//   share   each may always take so much: who fills the rest stops nobody else's small archive
//   pot     what they take beyond their shares, all together
//
// So the sum is at most kImportSlots shares and the pot. What an import that broke off has left
// counts until it is removed. Besides, none goes on when the disk is nearly full.
//
// Owner: the service makes one, and takes a slot for a job; the job says what it uses before more
// is written. Shared memory, inherited by fork; what reads hostile bytes has no access (unpacker.h:
// close() there). Errors: Errc::exhausted with what to do. Threads: one in each process.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "base/result.h"

namespace tare::snapshot {

inline constexpr std::size_t
    kImportSlots = 32;  // eight at once (host/store_link.h), and what is swept
inline constexpr std::uint64_t kDefaultImportBytes = std::uint64_t{64} << 30;
inline constexpr std::uint64_t kMaxImportEntries = 4'000'000;
inline constexpr std::uint64_t kMinFreeBytes = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kMinFreeParts = 20;  // or a twentieth of the disk, if that is less

class ImportBudget {
 public:
  static Result<ImportBudget> make(std::uint64_t max_bytes);
  ImportBudget(ImportBudget&& other) noexcept
      : uses_(std::exchange(other.uses_, nullptr)),
        max_bytes_(other.max_bytes_),
        taken_(other.taken_) {}
  ImportBudget& operator=(ImportBudget&&) = delete;
  ~ImportBudget() { close(); }
  // No more access to it from this process.
  void close();

  // By the service. nullopt: there is none.
  std::optional<std::size_t> take();
  void give_back(std::size_t slot);
  // By the slot's job: all that it has by now.
  Result<> use(std::size_t slot, std::uint64_t bytes, std::uint64_t entries) const;

 private:
  struct Use {
    std::atomic<std::uint64_t> bytes, entries;
  };
  ImportBudget(Use* uses, std::uint64_t max_bytes) : uses_(uses), max_bytes_(max_bytes) {}

  Use* uses_ = nullptr;  // kImportSlots of them
  std::uint64_t max_bytes_;
  std::array<bool, kImportSlots> taken_ = {};
};

// Errc::exhausted when the file system of `folder` is nearly full.
Result<> check_free_space(int folder);

}  // namespace tare::snapshot
