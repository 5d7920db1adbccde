#include "fiber/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fiber/address.h"
#include "fiber/event.h"
#include "fiber/timer.h"
#include "fiber/wait.h"
#include "fiber/waiter.h"

namespace tare::fiber {
namespace {

constexpr std::size_t kPartsPerWrite = 16;
// A UNIX listener whose queue is full answers EAGAIN and cannot be waited for.
constexpr std::chrono::milliseconds kQueueFullPause{2};

Error closed_error() { return Error{Errc::unavailable, "the stream is closed", 0}; }

Result<Peer> peer_of(int fd) {
  Address address;
  address.length = sizeof address.storage;
  if (::getpeername(fd, address.get(), &address.length) != 0)
    return sys_error(errno, "getpeername");
  if (address.storage.ss_family != AF_UNIX) return Peer(tcp_peer_of(address));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return sys_error(errno, "getsockopt SO_PEERCRED");
  }
  return Peer(UnixPeer{credentials.uid, credentials.gid, credentials.pid});
}

}  // namespace

struct Socket::Impl final : Poller::Source {
  Impl(sys::UniqueFd owned, Peer who) : fd(std::move(owned)), peer(std::move(who)) {}
  ~Impl() { close(); }

  // From here on the loop tells about edges. Registering late is safe: adding reports what is ready
  // already.
  Result<> watch() {
    if (scheduler != nullptr) return {};
    if (!fd.valid()) return closed_error();
    TRY(Scheduler::current().poller().add(fd.get(), *this));
    scheduler = &Scheduler::current();
    return {};
  }

  Result<> wait_readable(const Context& ctx) {
    TRY(watch());
    return wait(reader, ctx);
  }

  Result<> wait_writable(const Context& ctx) {
    TRY(watch());
    if (!writing_watched) TRY(scheduler->poller().tell_writable(fd.get(), *this));
    writing_watched = true;
    return wait(writer, ctx);
  }

  static Result<> wait(Waiter*& slot, const Context& ctx) {
    CHECK(slot == nullptr);  // one reader and one writer at a time
    Waiter waiter;
    slot = &waiter;
    auto woken = waiter.wait(ctx);
    slot = nullptr;
    return woken;
  }

  void on_events(std::uint32_t events) override {
    const bool gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
    const bool ended = (events & EPOLLRDHUP) != 0;
    if (reader != nullptr && (gone || ended || (events & EPOLLIN) != 0))
      reader->wake(Wake::notified);
    if (writer != nullptr && (gone || (events & EPOLLOUT) != 0)) writer->wake(Wake::notified);
    const auto seen = gone ? Hangup::gone : ended ? Hangup::sending : Hangup::none;
    if (seen <= hangup) return;
    hangup = seen;
    hangup_changed.notify_all();
    if (callback) callback(hangup);
  }

  void close() {
    if (!fd.valid()) return;
    if (scheduler != nullptr) scheduler->poller().remove(fd.get());
    fd.reset();
    hangup = Hangup::gone;
    if (reader != nullptr) reader->wake(Wake::cancelled);
    if (writer != nullptr) writer->wake(Wake::cancelled);
    hangup_changed.notify_all();
  }

  sys::UniqueFd fd;
  Peer peer;
  Scheduler* scheduler = nullptr;  // null: not registered
  bool writing_watched = false;
  Waiter* reader = nullptr;
  Waiter* writer = nullptr;
  Hangup hangup = Hangup::none;
  Event hangup_changed;
  UniqueFunction<void(Hangup)> callback;
};

Result<Socket> Socket::adopt(sys::UniqueFd fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return sys_error(errno, "fcntl O_NONBLOCK");
  }
  Peer peer = TRY(peer_of(fd.get()));
  if (std::holds_alternative<TcpPeer>(peer)) {
    const int on = 1;
    if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
      return sys_error(errno, "setsockopt TCP_NODELAY");
    }
  }
  return Socket(std::make_unique<Impl>(std::move(fd), std::move(peer)));
}

Socket::Socket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Socket::Socket(Socket&&) noexcept = default;
Socket& Socket::operator=(Socket&&) noexcept = default;
Socket::~Socket() = default;

Result<std::size_t> Socket::read_some(std::span<char> buffer, const Context& ctx) {
  CHECK(!buffer.empty());
  TRY(ctx.check());
  for (;;) {
    if (!impl_->fd.valid()) return closed_error();
    const ssize_t count = ::recv(impl_->fd.get(), buffer.data(), buffer.size(), 0);
    if (count >= 0) {
      Scheduler::current().spend();
      return static_cast<std::size_t>(count);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return sys_error(errno, "read from socket");
    TRY(impl_->wait_readable(ctx));
  }
}

Result<> Socket::write_parts(std::span<const std::string_view> parts, const Context& ctx) {
  TRY(ctx.check());
  std::size_t offset = 0;  // into the first part
  while (!parts.empty()) {
    if (!impl_->fd.valid()) return closed_error();
    std::array<iovec, kPartsPerWrite> vectors;
    const std::size_t count = std::min(parts.size(), vectors.size());
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view part = i == 0 ? parts[i].substr(offset) : parts[i];
      vectors[i] = {const_cast<char*>(part.data()), part.size()};  // NOLINT: sendmsg does not write
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(impl_->fd.get(), &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return sys_error(errno, "write to socket");
      TRY(impl_->wait_writable(ctx));
      continue;
    }
    offset += static_cast<std::size_t>(sent);
    while (!parts.empty() && offset >= parts.front().size()) {
      offset -= parts.front().size();
      parts = parts.subspan(1);
    }
    Scheduler::current().spend();
  }
  return {};
}

Result<> Socket::shutdown_write() {
  if (!impl_->fd.valid()) return closed_error();
  if (::shutdown(impl_->fd.get(), SHUT_WR) != 0 && errno != ENOTCONN) {
    return sys_error(errno, "shutdown");
  }
  return {};
}

void Socket::close() { impl_->close(); }
const Peer& Socket::peer() const { return impl_->peer; }
int Socket::fd() const { return impl_->fd.get(); }

Socket::Hangup Socket::hangup() {
  (void)impl_->watch();  // closed: `gone` is what it says already
  return impl_->hangup;
}

void Socket::on_hangup(UniqueFunction<void(Hangup)> callback) {
  impl_->callback = std::move(callback);
  if (!impl_->callback) return;
  if (hangup() != Hangup::none) impl_->callback(impl_->hangup);
}

Result<> Socket::wait_hangup(Hangup level, const Context& ctx) {
  if (impl_->fd.valid()) TRY(impl_->watch());
  return impl_->hangup_changed.wait_until([&] { return impl_->hangup >= level; }, ctx);
}

Result<Socket> connect_unix(std::string_view path, const Context& ctx) {
  const Address address = TRY(unix_address(path));
  sys::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return sys_error(errno, "socket");
  TRY(ctx.check());
  while (::connect(fd.get(), address.get(), address.length) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return sys_error(errno, "connect to " + std::string(path));
    TRY(sleep_for(kQueueFullPause, ctx));
  }
  return Socket::adopt(std::move(fd));
}

Result<Socket> connect_tcp(std::string_view text, std::uint16_t port, const Context& ctx) {
  const Address address = TRY(tcp_address(text, port));
  const std::string what = "connect to " + std::string(text) + " port " + std::to_string(port);
  sys::UniqueFd fd(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return sys_error(errno, "socket");
  TRY(ctx.check());
  if (::connect(fd.get(), address.get(), address.length) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return sys_error(errno, what);
    TRY(wait_writable(fd.get(), ctx));
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return sys_error(error, what);
  }
  return Socket::adopt(std::move(fd));
}

}  // namespace tare::fiber
