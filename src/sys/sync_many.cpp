#include "sys/sync_many.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "sys/files.h"

namespace tare::sys {

namespace {

class Syncing {
 public:
  explicit Syncing(std::span<const int> fds) : fds_(fds) {}

  // In each thread: takes one after another until none is left.
  void work() {
    for (std::size_t i = next_++; i < fds_.size(); i = next_++) {
      const auto synced = sync_fd(fds_[i]);
      int none = 0;
      if (!synced) error_.compare_exchange_strong(none, synced.error().sys);
    }
  }
  int error() const { return error_; }

 private:
  std::span<const int> fds_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<int> error_ = 0;
};

}  // namespace

Result<> sync_fds(std::span<const int> fds) {
  Syncing syncing(fds);
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(fds.size(), kSyncThreads); ++i) {
      try {
        others.emplace_back([&syncing] { syncing.work(); });
      } catch (const std::system_error&) {
        break;  // those that there are do it
      }
    }
    syncing.work();
  }
  if (syncing.error() != 0) return sys_error(syncing.error(), "fsync");
  return ok();
}

void start_writeback(int fd) { (void)::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); }

}  // namespace tare::sys
