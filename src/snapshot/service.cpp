#include "snapshot/service.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "base/hash.h"
#include "snapshot/collect.h"
#include "snapshot/jobs.h"
#include "snapshot/protocol.h"
#include "sys/files.h"
#include "sys/fork.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kMaxRequestBytes = sys::kMaxMessageBytes;
constexpr int kSweepAttempts = 3;  // processes that gave up; each tries for a while
constexpr int kSweepTries = 100;
constexpr int kSweepPauseMs = 50;

// How a job's process ends.
constexpr int kAnswered = 0;
constexpr int
    kAnsweredAndClose = 2;  // the client may have sent more that belongs to the failed request
constexpr int kNotAnswered = 1;

}  // namespace

Service::Service(Deps deps, sys::UniqueFd listener, int stop)
    : deps_(deps), listener_(std::move(listener)), stop_(stop) {}

Result<> Service::run() {
  for (;;) {
    std::vector<pollfd> waiting;
    std::vector<Connections::iterator> owners;
    waiting.push_back({stop_, POLLIN, 0});
    const bool room = connections_.size() < kMaxStoreConnections;
    waiting.push_back({room ? listener_.get() : -1, POLLIN, 0});
    for (auto it = connections_.begin(); it != connections_.end(); ++it) {
      // While a job runs, the connection is the job's to read; we only watch for the client's going
      // away.
      const bool read = !it->job.valid() && jobs_ < kMaxStoreJobs;
      waiting.push_back({it->fd.get(), static_cast<short>(read ? POLLIN : 0), 0});
      waiting.push_back({it->job.valid() ? it->job.pidfd() : -1, POLLIN, 0});
      owners.push_back(it);
    }
    for (const Sweeper& sweeper : sweepers_) waiting.push_back({sweeper.child.pidfd(), POLLIN, 0});
    if (::poll(waiting.data(), waiting.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return sys_error(errno, "poll");
    }
    if (waiting[0].revents != 0) return ok();
    for (std::size_t i = 0; i < owners.size(); ++i) {
      Connection& connection = *owners[i];
      const short on_socket = waiting[2 + 2 * i].revents;
      if (waiting[3 + 2 * i].revents != 0)
        end_job(connection);
      else if (connection.job.valid() && (on_socket & (POLLHUP | POLLERR)) != 0)
        cancel(connection);
      else if (!connection.job.valid() && on_socket != 0)
        serve(connection);
      if (connection.closing && !connection.job.valid()) connections_.erase(owners[i]);
    }
    reap_sweepers();
    if (waiting[1].revents != 0) TRY(accept_all());
  }
}

Result<> Service::accept_all() {
  while (connections_.size() < kMaxStoreConnections) {
    auto accepted = sys::accept_nonblocking(listener_.get());
    if (!accepted) {
      deps_.log.error(
          "accept", accepted.error());  // out of descriptors or memory: go on with those there are
      return ok();
    }
    if (!*accepted) return ok();
    if (!is_welcome((*accepted)->get())) continue;
    connections_.emplace_back().fd = std::move(**accepted);
  }
  return ok();
}

bool Service::is_welcome(int fd) const {
  const auto peer = sys::peer_credentials(fd);
  if (peer && (peer->uid == 0 || peer->uid == deps_.store.user_uid())) return true;
  deps_.log.warning("connection refused", {{"uid", peer ? peer->uid : 0U}});
  return false;
}

// A message has come, or the end.
void Service::serve(Connection& connection) {
  auto message = sys::receive_message(connection.fd.get(), kMaxRequestBytes);
  if (!message) {
    if (message.error().sys == EAGAIN) return;
    refuse(connection, message.error());
  } else if (!*message) {
    connection.closing = true;
  } else {
    handle(connection, std::move(**message));
  }
}

void Service::handle(Connection& connection, sys::Message message) {
  auto request = decode_request(message.bytes);
  if (!request) return refuse(connection, request.error());
  if (message.fds.size() != descriptors_of(*request)) {
    return refuse(connection, Error{Errc::invalid, "message: wrong number of descriptors"});
  }
  const auto* hello = std::get_if<Hello>(&*request);
  if (connection.greeted == (hello != nullptr)) {
    return refuse(connection, Error{Errc::invalid, "message: Hello comes first, and once"});
  }
  if (hello != nullptr) return greet(connection, *hello);
  if (answer_at_once(connection, *request, message)) return;
  start_job(connection, *request, std::move(message.fds));
}

void Service::greet(Connection& connection, const Hello& hello) {
  if (hello.version != kProtocolVersion) {
    return refuse(
        connection,
        Error{Errc::unavailable, "the store speaks protocol " + std::to_string(kProtocolVersion) +
                                     ", the caller " + std::to_string(hello.version) +
                                     "; restart both from one release"});
  }
  connection.greeted = true;
  if (!send_reply(connection.fd.get(), Hello{kProtocolVersion, TARE_VERSION}))
    connection.closing = true;
}

// Most runs leave nothing in /output: no process is made for that.
bool Service::answer_at_once(Connection& connection, const Request& request,
                             const sys::Message& message) {
  const auto* m = std::get_if<Collect>(&request);
  if (m == nullptr) return false;
  auto nothing = collect_nothing(deps_.store, message.fds[0].get(), *m);
  if (nothing && !*nothing) return false;
  const Reply reply = nothing ? Reply(**nothing) : Reply(failed(nothing.error()));
  if (!send_reply(connection.fd.get(), reply)) connection.closing = true;
  return true;
}

void Service::refuse(Connection& connection, const Error& error) {
  deps_.log.warning("request refused", {{"error", error.message}});
  auto message = encode(Reply(failed(error)));
  if (message)
    (void)sys::send_message(connection.fd.get(), *message);  // it may be gone; never wait for it
  connection.closing = true;
}

std::string Service::fresh_name() {
  std::array<std::uint8_t, 16> bytes;
  deps_.random.fill(std::as_writable_bytes(std::span(bytes)));
  return to_hex(bytes);
}

// For what unpacks an archive; false when that was refused.
bool Service::take_slot(Connection& connection, const Request& request) {
  const bool unpacks = std::holds_alternative<ImportTar>(request) ||
                       std::holds_alternative<ImportImage>(request);
  if (!unpacks) return true;
  connection.slot = deps_.budget.take();
  if (connection.slot) return true;
  const Error full{Errc::exhausted,
                   "too many archives are being unpacked or removed: try again in a moment"};
  if (!send_reply(connection.fd.get(), failed(full))) connection.closing = true;
  return false;
}

void Service::give_back(std::optional<std::size_t> slot) {
  if (slot) deps_.budget.give_back(*slot);
}

void Service::start_job(Connection& connection, const Request& request,
                        std::vector<sys::UniqueFd> fds) {
  if (!take_slot(connection, request)) return;
  connection.job_name = fresh_name();
  auto child = sys::fork_child();
  if (!child) {
    give_back(std::exchange(connection.slot, std::nullopt));
    return refuse(connection, child.error());
  }
  if (!child->valid()) job_main(connection, request, std::move(fds));
  connection.job = std::move(child).value();
  ++jobs_;
}

// In a child. A copy of a connection kept here would hide from its client that the service has
// closed it. The child ends with _exit: no destructor of the parent's objects (which would kill the
// other jobs) runs in it.
void Service::leave_service(const Connection* kept) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  listener_.reset();
  for (Connection& connection : connections_) {
    if (&connection != kept) connection.fd.reset();
  }
}

void Service::job_main(Connection& connection, const Request& request,
                       std::vector<sys::UniqueFd> fds) {
  leave_service(&connection);
  const JobContext context{deps_.store,         deps_.clock,   connection.job_name,
                           connection.fd.get(), &deps_.budget, connection.slot.value_or(0)};
  const auto [reply, beside] = run_job(request, std::move(fds), context);
  if (!send_reply(connection.fd.get(), reply, beside.get())) ::_exit(kNotAnswered);
  const bool close = std::holds_alternative<ImportFiles>(request) &&
                     std::holds_alternative<Failed>(reply);
  ::_exit(close ? kAnsweredAndClose : kAnswered);
}

void Service::end_job(Connection& connection) {
  const auto status = connection.job.wait(nullptr);
  const auto slot = std::exchange(connection.slot, std::nullopt);
  --jobs_;
  if (status && !status->signalled &&
      (status->code == kAnswered || status->code == kAnsweredAndClose)) {
    give_back(slot);
    connection.closing = status->code == kAnsweredAndClose;
    return;
  }
  sweep_later(connection.job_name, slot);
  const std::string how = !status ? status.error().message
                                  : (status->signalled ? "signal " : "status ") +
                                        std::to_string(status->code);
  deps_.log.error("job ended badly", {{"job", connection.job_name}, {"how", how}});
  refuse(connection, Error{Errc::internal, "the job ended by " + how + " before it was done"});
}

// The client is gone: nobody waits for the answer. (Or it has it, and the job was about to end.)
void Service::cancel(Connection& connection) {
  (void)connection.job.signal(SIGKILL);
  const auto ended = connection.job.wait(nullptr);
  const auto slot = std::exchange(connection.slot, std::nullopt);
  --jobs_;
  connection.closing = true;
  if (ended && !ended->signalled) return give_back(slot);
  deps_.log.info("job cancelled", {{"job", connection.job_name}});
  sweep_later(connection.job_name, slot);
}

// In a process of its own: it may be a large tree. The job's own child (an unpacker) may still be
// dying, so it is tried again for a while; what is left even then goes at the next start.
void Service::sweep_later(std::string name, std::optional<std::size_t> slot, int attempt) {
  auto child = sys::fork_child();
  if (!child) {
    give_back(slot);
    deps_.log.error("sweep", child.error(), {{"job", name}});
    return;
  }
  if (!child->valid()) {
    leave_service(nullptr);
    for (int i = 0; i < kSweepTries; ++i) {
      if (deps_.store.discard(name)) ::_exit(0);
      (void)::poll(nullptr, 0, kSweepPauseMs);
    }
    ::_exit(1);
  }
  sweepers_.push_back({std::move(child).value(), std::move(name), slot, attempt});
}

void Service::reap_sweepers() {
  for (auto it = sweepers_.begin(); it != sweepers_.end();) {
    const auto sweeper = it++;
    const auto running = sweeper->child.peek();
    if (running && !*running) continue;
    const auto ended = sweeper->child.wait(nullptr);
    const bool killed = ended && ended->signalled;  // by somebody else: it had not given up
    const bool swept = ended && !killed && ended->code == 0;
    if (killed || (!swept && sweeper->attempt < kSweepAttempts))
      sweep_later(sweeper->name, sweeper->slot, sweeper->attempt + (killed ? 0 : 1));
    else
      give_back(sweeper->slot);
    if (!swept)
      deps_.log.warning("sweep ended badly",
                        {{"job", sweeper->name}, {"attempt", sweeper->attempt}});
    sweepers_.erase(sweeper);
  }
}

}  // namespace tare::snapshot
