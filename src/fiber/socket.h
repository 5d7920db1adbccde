// Stream sockets: UNIX and TCP, connecting and listening. Every descriptor is owned here,
// close-on-exec and non-blocking. TCP_NODELAY is always set. Call from a fiber; loop thread only.
//
// Errors: Errc::cancelled, Errc::timeout; Errc::unavailable when nobody listens or the other side
// is gone; Errc::invalid for an address that is not numeric (names are not resolved here);
// Errc::conflict when another process already listens. Source: unix(7), tcp(7), socket(7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/stream.h"
#include "fiber/unique_function.h"
#include "sys/fd.h"

namespace tare::fiber {

// Who is at the other end of a UNIX socket, as the kernel saw it when it connected (SO_PEERCRED).
struct UnixPeer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;  // 0 when it is not visible from our pid namespace
};
struct TcpPeer {
  std::string address;  // numeric, "127.0.0.1" or "::1"
  std::uint16_t port = 0;
};
using Peer = std::variant<UnixPeer, TcpPeer>;

class Socket final : public Stream {
 public:
  // Takes over a connected stream socket (UNIX or TCP).
  static Result<Socket> adopt(sys::UniqueFd fd);

  Socket(Socket&&) noexcept;
  Socket& operator=(Socket&&) noexcept;
  ~Socket() override;

  Result<std::size_t> read_some(std::span<char> buffer, const Context& ctx) override;
  Result<> write_parts(std::span<const std::string_view> parts, const Context& ctx) override;
  Result<> shutdown_write() override;
  void close() override;

  const Peer& peer() const;
  int fd() const;

  // How much of the other side has ended. `sending`: it sends no more (a TCP peer that has gone
  // looks the same until we write). `gone`: both directions are dead. Kept up to date by the loop
  // from the first call on.
  enum class Hangup : std::uint8_t { none, sending, gone };
  Hangup hangup();
  // Called once for each change, from the loop, outside any fiber: it must not wait; it may cancel
  // a scope. Called at once (from here) if there is something to tell already. An empty function
  // unsets it.
  void on_hangup(UniqueFunction<void(Hangup)> callback);
  // Waits until `hangup()` is at least the level asked for.
  Result<> wait_hangup(Hangup level, const Context& ctx);

 private:
  struct Impl;
  explicit Socket(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The path may be as long as sun_path allows (107 bytes).
Result<Socket> connect_unix(std::string_view path, const Context& ctx);
// `address` is numeric, or "localhost" for 127.0.0.1.
Result<Socket> connect_tcp(std::string_view address, std::uint16_t port, const Context& ctx);

// What accept needs to be: the HTTP server takes either kind.
class Listener {
 public:
  virtual ~Listener() = default;
  // Waits for a connection. A connection that dies in the queue is skipped; when descriptors run
  // out it waits and tries again.
  virtual Result<Socket> accept(const Context& ctx) = 0;
  virtual int fd() const = 0;
};

struct UnixListenOptions {
  mode_t mode = 0600;
  std::optional<uid_t> owner = std::nullopt;  // left as created when not set
  std::optional<gid_t> group = std::nullopt;
  int backlog = 1024;
};

class UnixListener final : public Listener {
 public:
  // The socket appears at `path` in one step with its final mode and owner (made under a temporary
  // name, then renamed). A stale socket is replaced; one that somebody listens on is
  // Errc::conflict.
  static Result<UnixListener> bind(const std::string& path, const UnixListenOptions& options);
  // Takes over a socket that listens already.
  static Result<UnixListener> adopt(sys::UniqueFd fd);

  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&& other) noexcept;
  // Removes the path if it still is the socket made here.
  ~UnixListener() override;

  Result<Socket> accept(const Context& ctx) override;
  int fd() const override { return fd_.get(); }

 private:
  UnixListener(sys::UniqueFd fd, std::string path, dev_t device, ino_t inode)
      : fd_(std::move(fd)), path_(std::move(path)), device_(device), inode_(inode) {}
  void remove_path();

  sys::UniqueFd fd_;
  std::string path_;  // empty: adopted, nothing to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

class TcpListener final : public Listener {
 public:
  // `address` is numeric, or "localhost"; port 0 takes a free one, see port().
  static Result<TcpListener> bind(std::string_view address, std::uint16_t port, int backlog);
  static Result<TcpListener> adopt(sys::UniqueFd fd);

  Result<Socket> accept(const Context& ctx) override;
  int fd() const override { return fd_.get(); }
  std::uint16_t port() const { return port_; }

 private:
  TcpListener(sys::UniqueFd fd, std::uint16_t port) : fd_(std::move(fd)), port_(port) {}

  sys::UniqueFd fd_;
  std::uint16_t port_ = 0;
};

}  // namespace tare::fiber
