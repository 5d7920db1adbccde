#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "fiber/address.h"
#include "fiber/scheduler.h"
#include "fiber/socket.h"
#include "fiber/timer.h"
#include "fiber/wait.h"

namespace tare::fiber {
namespace {

// When descriptors or memory run out: how long until the next try.
constexpr std::chrono::milliseconds kExhaustedPause{50};

Result<Socket> accept_from(int listener, const Context& ctx) {
  TRY(ctx.check());
  for (;;) {
    sys::UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.valid()) {
      Scheduler::current().spend();
      auto socket = Socket::adopt(std::move(fd));
      if (socket) return socket;
      continue;  // it died between accept and getpeername
    }
    switch (errno) {
      case EINTR:
      case ECONNABORTED:
      case EPROTO: continue;
      case EAGAIN: TRY(wait_readable(listener, ctx)); continue;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM: TRY(sleep_for(kExhaustedPause, ctx)); continue;
      default: return sys_error(errno, "accept");
    }
  }
}

Result<sys::UniqueFd> make_socket(int family) {
  sys::UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return sys_error(errno, "socket");
  return fd;
}

Result<> set_non_blocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return sys_error(errno, "fcntl O_NONBLOCK");
  }
  return {};
}

// True if somebody accepts connections at the address.
Result<bool> is_live(const Address& address) {
  const auto probe = TRY(make_socket(AF_UNIX));
  if (::connect(probe.get(), address.get(), address.length) == 0 || errno == EAGAIN) return true;
  if (errno == ECONNREFUSED || errno == ENOENT) return false;
  return sys_error(errno, "look for a listener");
}

// Gives the socket at `path` its owner and mode and starts listening: nobody can connect before
// that.
Result<> finish_unix(int fd, const std::string& path, const UnixListenOptions& options) {
  if (options.owner || options.group) {
    const uid_t owner = options.owner.value_or(static_cast<uid_t>(-1));
    const gid_t group = options.group.value_or(static_cast<gid_t>(-1));
    if (::lchown(path.c_str(), owner, group) != 0) return sys_error(errno, "chown " + path);
  }
  if (::chmod(path.c_str(), options.mode) != 0) return sys_error(errno, "chmod " + path);
  if (::listen(fd, options.backlog) != 0) return sys_error(errno, "listen " + path);
  return {};
}

}  // namespace

Result<UnixListener> UnixListener::bind(const std::string& path, const UnixListenOptions& options) {
  const Address address = TRY(unix_address(path));
  if (TRY(is_live(address).context(path))) {
    return Error{Errc::conflict, "another process listens at " + path, EADDRINUSE};
  }
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
    return Error{Errc::conflict,
                 path + " exists and is not a socket; remove it or choose another path", EEXIST};
  }
  auto fd = TRY(make_socket(AF_UNIX));
  const std::string temporary = path + "." + std::to_string(::getpid() % 100'000);
  const Address temporary_address = TRY(unix_address(temporary));
  ::unlink(temporary.c_str());
  if (::bind(fd.get(), temporary_address.get(), temporary_address.length) != 0) {
    return sys_error(errno, "bind " + temporary);
  }
  auto finished = finish_unix(fd.get(), temporary, options);
  if (finished && ::lstat(temporary.c_str(), &status) != 0) {
    finished = sys_error(errno, "stat " + temporary);
  }
  if (finished && ::rename(temporary.c_str(), path.c_str()) != 0) {
    finished = sys_error(errno, "rename to " + path);
  }
  if (!finished) {
    ::unlink(temporary.c_str());
    return std::move(finished).error();
  }
  return UnixListener(std::move(fd), path, status.st_dev, status.st_ino);
}

Result<UnixListener> UnixListener::adopt(sys::UniqueFd fd) {
  TRY(set_non_blocking(fd.get()));
  return UnixListener(std::move(fd), "", 0, 0);
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this == &other) return *this;
  remove_path();
  fd_ = std::move(other.fd_);
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

UnixListener::~UnixListener() { remove_path(); }

void UnixListener::remove_path() {
  if (path_.empty()) return;
  struct stat status{};
  // Not if a successor has put its own socket there.
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
  path_.clear();
}

Result<Socket> UnixListener::accept(const Context& ctx) { return accept_from(fd_.get(), ctx); }

Result<TcpListener> TcpListener::bind(std::string_view text, std::uint16_t port, int backlog) {
  const Address address = TRY(tcp_address(text, port));
  const std::string what = "listen on " + std::string(text) + " port " + std::to_string(port);
  auto fd = TRY(make_socket(address.storage.ss_family));
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    return sys_error(errno, "setsockopt SO_REUSEADDR");
  }
  if (::bind(fd.get(), address.get(), address.length) != 0 || ::listen(fd.get(), backlog) != 0) {
    if (errno != EADDRINUSE) return sys_error(errno, what);
    return Error{Errc::conflict, what + ": another process uses this port", EADDRINUSE};
  }
  return adopt(std::move(fd));
}

Result<TcpListener> TcpListener::adopt(sys::UniqueFd fd) {
  TRY(set_non_blocking(fd.get()));
  Address bound;
  bound.length = sizeof bound.storage;
  if (::getsockname(fd.get(), bound.get(), &bound.length) != 0)
    return sys_error(errno, "getsockname");
  return TcpListener(std::move(fd), tcp_peer_of(bound).port);
}

Result<Socket> TcpListener::accept(const Context& ctx) { return accept_from(fd_.get(), ctx); }

}  // namespace tare::fiber
