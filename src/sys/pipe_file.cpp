#include "sys/pipe_file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/retry.h"

namespace tare::sys {

Result<Spliced> splice_to_file(int pipe, int file, std::uint64_t offset, std::size_t max_bytes) {
  auto position = static_cast<off64_t>(offset);
  const ssize_t n = retry([&] {
    return ::splice(pipe, nullptr, file, &position, max_bytes, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  });
  if (n > 0) return Spliced{static_cast<std::size_t>(n), PipeState::moved};
  if (n == 0) return Spliced{0, PipeState::ended};
  if (errno == EAGAIN) return Spliced{0, PipeState::drained};
  return sys_error(errno, "splice");
}

Result<Spliced> copy_to_file(int terminal, int file, std::uint64_t offset, std::size_t max_bytes) {
  std::array<char, 16 << 10> buffer;
  const ssize_t n = retry(
      [&] { return ::read(terminal, buffer.data(), std::min(buffer.size(), max_bytes)); });
  if (n == 0 || (n < 0 && errno == EIO)) return Spliced{0, PipeState::ended};
  if (n < 0 && errno == EAGAIN) return Spliced{0, PipeState::drained};
  if (n < 0) return sys_error(errno, "read from a terminal");
  for (ssize_t done = 0; done < n;) {
    const ssize_t written = retry([&] {
      return ::pwrite(file, buffer.data() + done, static_cast<std::size_t>(n - done),
                      static_cast<off_t>(offset) + done);
    });
    if (written < 0) return sys_error(errno, "pwrite");
    done += written;
  }
  return Spliced{static_cast<std::size_t>(n), PipeState::moved};
}

Result<PipeState> peek_pipe(int pipe) {
  pollfd poll = {.fd = pipe, .events = POLLIN, .revents = 0};
  if (retry([&] { return ::poll(&poll, 1, 0); }) < 0) return sys_error(errno, "poll");
  if ((poll.revents & POLLIN) != 0) return PipeState::moved;
  return poll.revents == 0 ? PipeState::drained : PipeState::ended;
}

Result<> punch_hole(int fd, std::uint64_t offset, std::uint64_t length) {
  constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const int result = retry([&] {
    return ::fallocate(fd, kMode, static_cast<off_t>(offset), static_cast<off_t>(length));
  });
  if (result != 0) return sys_error(errno, "fallocate PUNCH_HOLE");
  return ok();
}

Result<> sync_data(int fd) {
  if (::fdatasync(fd) != 0) return sys_error(errno, "fdatasync");
  return ok();
}

}  // namespace tare::sys
