#include "cli/std_streams.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/core.h>

#include "fiber/wait.h"
#include "sys/files.h"

namespace tare::cli {

StdOutput::StdOutput(int fd) : fd_(fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return;  // the first write says why
  if (S_ISSOCK(st.st_mode)) {
    kind_ = Kind::socket;
  } else if (S_ISFIFO(st.st_mode) || ::isatty(fd) == 1) {
    auto own = sys::open_at(sys::kCwd, fmt::format("/proc/self/fd/{}", fd),
                            O_WRONLY | O_NONBLOCK | O_NOCTTY);
    kind_ = own ? Kind::reopened : Kind::careful;
    if (own) own_ = std::move(own).value();
  }
}

Result<std::size_t> StdOutput::write_some(std::string_view bytes) {
  const int fd = own_.valid() ? own_.get() : fd_;
  for (;;) {
    const ssize_t n = kind_ == Kind::socket
                          ? ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return sys_error(errno, fd_ == 1 ? "write to stdout" : "write to stderr");
  }
}

Result<> StdOutput::write(std::string_view bytes, const fiber::Context& ctx) {
  const int fd = own_.valid() ? own_.get() : fd_;
  while (!bytes.empty()) {
    if (kind_ == Kind::careful) TRY(fiber::wait_writable(fd, ctx));
    auto written = write_some(kind_ == Kind::careful ? bytes.substr(0, PIPE_BUF) : bytes);
    if (written) {
      bytes.remove_prefix(*written);
    } else if (written.error().sys == EAGAIN) {
      TRY(fiber::wait_writable(fd, ctx));
    } else {
      return std::move(written).error();
    }
  }
  return ok();
}

Result<std::size_t> StdInput::read_some(std::span<char> into, const fiber::Context& ctx) {
  // What cannot be polled (a regular file, /dev/null) never blocks for long.
  auto ready = fiber::wait_readable(fd_, ctx);
  if (!ready && ready.error().code != Errc::invalid) return std::move(ready).error();
  for (;;) {
    const ssize_t n = ::read(fd_, into.data(), into.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN) {  // somebody made it non-blocking, and somebody else was faster
      TRY(fiber::wait_readable(fd_, ctx));
    } else if (errno != EINTR) {
      return sys_error(errno, "read stdin");
    }
  }
}

}  // namespace tare::cli
