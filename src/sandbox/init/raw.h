// Small helpers of tare-init: it is static, single-threaded, and links no library but libc.
// Failures are errno values (0 is success): the only thing it can say about one is its number.
#pragma once

#include <cerrno>

namespace tare::sandbox::init {

// 0, or errno.
inline int outcome(long result) { return result < 0 ? errno : 0; }

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
