// Small helpers of tare-init: it is static, single-threaded, and links no library but libc.
// Failures are errno values (0 is success): the only thing it can say about one is its number.
#pragma once

#include <cerrno>
#include <cstdint>

namespace tare::sandbox::init {

// 0, or errno.
inline int outcome(long result) { return result < 0 ? errno : 0; }

// Effective and permitted become exactly `mask` (bit N is capability N), inheritable none. 0 or
// errno.
int hold_only_capabilities(std::uint64_t mask);

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

}  // namespace tare::sandbox::init
