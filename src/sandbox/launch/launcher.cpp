#include "sandbox/launch/launcher.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {

namespace {

constexpr std::uint64_t key_of(std::uint32_t source, std::uint32_t number) {
  return std::uint64_t{source} << 32 | number;
}

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::create(LauncherConfig config, LaunchTools tools) {
  sys::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return sys_error(errno, "epoll_create");
  std::unique_ptr<Launcher> launcher(
      new Launcher(std::move(config), std::move(tools), std::move(epoll)));
  TRY(launcher->watch(launcher->config_.listener.get(), Source::listener, 0));
  TRY(launcher->watch(launcher->config_.stop.get(), Source::stop, 0));
  return launcher;
}

Result<> Launcher::watch(int fd, Source source, std::uint32_t number) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = key_of(static_cast<std::uint32_t>(source), number);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return sys_error(errno, "epoll_ctl");
  return ok();
}

Result<> Launcher::run() {
  while (!stopping_ || !sandboxes_.empty()) {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                               wait_ms());
    if (n < 0 && errno != EINTR) return sys_error(errno, "epoll_wait");
    for (int i = 0; i < n; ++i) {
      const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
      handle(static_cast<Source>(key >> 32), static_cast<std::uint32_t>(key));
    }
    check_deadlines();
  }
  return tools_.cgroups.remove();
}

void Launcher::handle(Source source, std::uint32_t number) {
  switch (source) {
    case Source::listener: accept_client(); return;
    case Source::client: on_client(); return;
    case Source::stop: end_all(); return;
    case Source::control:
    case Source::ended:
    case Source::oom: break;
  }
  const auto found = sandboxes_.find(number);
  if (found == sandboxes_.end() || found->second->ended()) return;  // an event from before its end
  Sandbox& sandbox = *found->second;
  if (source == Source::ended) {
    finish(number);
  } else if (source == Source::oom) {
    sandbox.on_oom();
  } else if (const auto started = sandbox.on_control()) {
    config_.log->info("sandbox started", {{"run", sandbox.id()}, {"start_us", started->start_us}});
    send(*started);
  }
}

void Launcher::accept_client() {
  auto client = sys::accept_nonblocking(config_.listener.get());
  if (!client || !client->has_value()) return;
  auto peer = sys::peer_credentials((*client)->get());
  if (!peer || (peer->uid != 0 && peer->uid != config_.daemon_uid)) {
    config_.log->warning("refused a connection", {{"uid", peer ? peer->uid : 0U}});
    return;
  }
  drop_client();
  client_ = std::move(**client);
  greeted_ = false;
  if (auto watched = watch(client_.get(), Source::client, 0); !watched) drop_client();
}

void Launcher::drop_client() { client_.reset(); }

void Launcher::on_client() {
  if (!client_.valid()) return;
  auto received = sys::receive_message(client_.get());
  if (!received && received.error().sys == EAGAIN) return;
  if (!received || !received->has_value()) return drop_client();
  sys::Message& message = **received;
  auto decoded = decode_to_launcher(message.bytes, message.fds.size());
  if (!decoded) {
    config_.log->error("bad message from tared", decoded.error());
    return drop_client();
  }
  on_message(std::move(*decoded), std::move(message.fds));
}

void Launcher::on_message(ToLauncher message, std::vector<sys::UniqueFd> fds) {
  if (const auto* hello = std::get_if<HelloMessage>(&message)) {
    send(WelcomeMessage{kLauncherProtocol, static_cast<std::uint32_t>(::getpid()),
                        std::string(tools_.cgroups.mode()), TARE_VERSION, instance_});
    greeted_ = hello->protocol == kLauncherProtocol;
    if (!greeted_) drop_client();
    return;
  }
  if (!greeted_) return drop_client();
  if (std::holds_alternative<ListMessage>(message)) return list();
  if (const auto* order = std::get_if<LaunchMessage>(&message))
    return launch(*order, std::move(fds));
  if (const auto* kill = std::get_if<KillMessage>(&message)) {
    if (Sandbox* sandbox = find(kill->id)) sandbox->end(kill->reason);
  } else if (const auto* close = std::get_if<CloseStdinMessage>(&message)) {
    if (Sandbox* sandbox = find(close->id)) sandbox->close_stdin();
  } else if (const auto* release = std::get_if<ReleaseMessage>(&message)) {
    const auto number = numbers_.find(release->id);
    if (number == numbers_.end() || !sandboxes_.at(number->second)->ended()) return;
    sandboxes_.erase(number->second);
    numbers_.erase(number);
  }
}

void Launcher::launch(const LaunchMessage& message, std::vector<sys::UniqueFd> fds) {
  if (stopping_) return drop_client();
  if (numbers_.contains(message.id)) {
    config_.log->error("launched twice", {{"run", message.id}});
    return drop_client();
  }
  const std::uint32_t number = next_number_++;
  auto made = Sandbox::launch(tools_, message, std::move(fds));
  if (made) {
    Sandbox& sandbox = **made;
    Result<> watched = watch(sandbox.control_fd(), Source::control, number);
    if (watched) watched = watch(sandbox.pidfd(), Source::ended, number);
    if (watched) watched = watch(sandbox.oom_fd(), Source::oom, number);
    if (watched) {
      numbers_.emplace(message.id, number);
      sandboxes_.emplace(number, std::move(*made));
      return;
    }
    made = std::move(watched).error();
  }
  config_.log->error("sandbox could not be made", made.error(), {{"run", message.id}});
  EndedMessage ended;
  ended.id = message.id;
  ended.outcome = {model::EndReason::setup_failed, 0, 0, made.error().message};
  send(ended);
}

// Everything that is live, and once more every end that tared may have missed.
void Launcher::list() {
  for (const auto& [number, sandbox] : sandboxes_) send(sandbox->describe(), sandbox->kept_pipes());
  send(ListedMessage{});
  for (const auto& [number, sandbox] : sandboxes_) {
    if (sandbox->ended()) send_ended(*sandbox);
  }
}

void Launcher::finish(std::uint32_t number) {
  Sandbox& sandbox = *sandboxes_.at(number);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, sandbox.pidfd(), nullptr);
  const EndedMessage ended = sandbox.finish();
  config_.log->info("sandbox ended", {{"run", ended.id}, {"wall_us", ended.usage.wall_us}});
  if (stopping_) {
    numbers_.erase(ended.id);
    sandboxes_.erase(number);
    return;
  }
  send_ended(sandbox);
}

void Launcher::send_ended(const Sandbox& sandbox) {
  EndedMessage message = sandbox.result();
  const sys::UniqueFd output = sandbox.output();
  message.with_output = output.valid();
  const int fd = output.get();
  send(message, message.with_output ? std::span<const int>(&fd, 1) : std::span<const int>());
}

void Launcher::send(const FromLauncher& message, std::span<const int> fds) {
  // Before the greeting nothing but its answer: the rest is told when tared asks.
  const bool welcome = std::holds_alternative<WelcomeMessage>(message);
  if (!client_.valid() || !(greeted_ || welcome)) return;
  auto bytes = encode(message);
  if (!bytes) return config_.log->error("cannot encode a message", bytes.error());
  // A tared that does not read is as good as dead: what it misses it gets again when it has
  // reconnected and asks.
  if (auto sent = sys::send_message(client_.get(), *bytes, fds); !sent) drop_client();
}

int Launcher::wait_ms() const {
  std::uint64_t next = 0;
  for (const auto& [number, sandbox] : sandboxes_) {
    const std::uint64_t deadline = sandbox->deadline_us();
    if (deadline > 0 && (next == 0 || deadline < next)) next = deadline;
  }
  if (next == 0) return -1;
  const std::uint64_t now = monotonic_us();
  return next <= now ? 0
                     : static_cast<int>(std::min<std::uint64_t>((next - now + 999) / 1000, 60'000));
}

void Launcher::check_deadlines() {
  const std::uint64_t now = monotonic_us();
  for (const auto& [number, sandbox] : sandboxes_) {
    if (sandbox->deadline_us() > 0 && sandbox->deadline_us() <= now) sandbox->on_deadline();
  }
}

void Launcher::end_all() {
  if (stopping_) return;
  stopping_ = true;
  config_.log->info("stopping", {{"sandboxes", sandboxes_.size()}});
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, config_.stop.get(), nullptr);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, config_.listener.get(), nullptr);
  drop_client();
  std::erase_if(sandboxes_, [](const auto& entry) { return entry.second->ended(); });
  for (const auto& [number, sandbox] : sandboxes_) sandbox->end(model::EndReason::launcher_lost);
}

Sandbox* Launcher::find(const std::string& id) {
  const auto number = numbers_.find(id);
  return number == numbers_.end() ? nullptr : sandboxes_.at(number->second).get();
}

}  // namespace tare::sandbox
