#include "sandbox/launch/launcher.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::sandbox {

namespace {

// A made sandbox brings so many; the rest is for what comes and goes: a message's, files read.
constexpr rlim_t kMadeFds = 4;
constexpr rlim_t kSpareFds = 2 * sys::kMaxMessageFds;

constexpr std::uint64_t key_of(std::uint32_t source, std::uint32_t number) {
  return std::uint64_t{source} << 32 | number;
}

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::create(LauncherConfig config, LaunchTools tools,
                                                   const PoolOptions& pool) {
  sys::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return sys_error(errno, "epoll_create");
  rlimit open_files = {};
  if (::getrlimit(RLIMIT_NOFILE, &open_files) != 0) return sys_error(errno, "getrlimit");
  std::unique_ptr<Launcher> launcher(
      new Launcher(std::move(config), std::move(tools), std::move(epoll), pool));
  launcher->most_fds_ = open_files.rlim_cur;
  TRY(launcher->watch(launcher->config_.listener.get(), Source::listener, 0));
  TRY(launcher->watch(launcher->config_.stop.get(), Source::stop, 0));
  TRY(launcher->makers_.start(pool.makers, [&self = *launcher](std::uint32_t index, int socket) {
    return self.watch(socket, Source::maker, index);
  }));
  return launcher;
}

Result<> Launcher::watch(int fd, Source source, std::uint32_t number, short events) {
  epoll_event event = {};
  event.events = static_cast<std::uint32_t>(events);  // epoll(7) has poll(2)'s numbers
  event.data.u64 = key_of(static_cast<std::uint32_t>(source), number);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return sys_error(errno, "epoll_ctl");
  return ok();
}

Result<> Launcher::run() {
  while (!stopping_ || !sandboxes_.empty() || !closing_.empty()) {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                               wait_ms());
    if (n < 0 && errno != EINTR) return sys_error(errno, "epoll_wait");
    for (int i = 0; i < n; ++i) {
      const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
      handle(static_cast<Source>(key >> 32), static_cast<std::uint32_t>(key));
    }
    check_deadlines();
    if (makers_.broken()) return Error{Errc::unavailable, "no maker could be started"};
    if (!stopping_) fill_pool();
    answer_expecting();
  }
  makers_.stop();
  return tools_.making.cgroups.remove();
}

void Launcher::handle(Source source, std::uint32_t number) {
  switch (source) {
    case Source::listener: accept_client(); return;
    case Source::client: on_client(); return;
    case Source::stop: end_all(); return;
    case Source::maker: on_maker(number); return;
    case Source::control:
    case Source::ended:
    case Source::oom: on_sandbox(source, number);
  }
}

void Launcher::on_sandbox(Source source, std::uint32_t number) {
  const auto found = sandboxes_.find(number);
  if (found == sandboxes_.end()) return;  // an event from before its end
  Sandbox& sandbox = *found->second;
  if (source == Source::oom) return sandbox.on_oom();
  // Its death and its last words may come in one go, in any order.
  if (!sandbox.ended()) on_reports(number);
  if (source != Source::ended) return;
  if (!sandbox.ended()) finish(number);
  reaped(number);
}

void Launcher::on_reports(std::uint32_t number) {
  Sandbox& sandbox = *sandboxes_.at(number);
  const bool was_prepared = sandbox.prepared();
  Told told;
  while (!sandbox.told_end() && sandbox.on_control(told)) tell(std::exchange(told, {}));
  if (sandbox.told_end()) return finish(number);
  if (was_prepared || !sandbox.prepared() || sandbox.claimed()) return;
  ++counters_.made;
  if (!pool_.ready(sandbox.key(), number)) sandbox.end(model::EndReason::killed);
}

void Launcher::tell(const Told& told) {
  if (!told.message) return;
  if (const auto* started = std::get_if<StartedMessage>(&*told.message)) {
    config_.log->info(
        "sandbox started",
        {{"run", started->id}, {"start_us", started->start_us}, {"warm", started->warm}});
  }
  const std::span<const int> terminal(&told.terminal, told.terminal >= 0 ? 1 : 0);
  send(*told.message, terminal);
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
  if (auto watched = watch(client_.get(), Source::client, 0); !watched)
    drop_client("cannot watch its connection", watched.error());
}

void Launcher::drop_client() {
  client_.reset();
  expecting_.clear();
  // Who stopped them is gone.
  for (const auto& [number, sandbox] : sandboxes_) go_on(*sandbox);
}

void Launcher::drop_client(std::string_view what, const Error& why) {
  config_.log->error("dropped the connection of tared", why, {{"what", what}});
  drop_client();
}

void Launcher::on_client() {
  if (!client_.valid()) return;
  auto received = sys::receive_message(client_.get());
  if (!received && received.error().sys == EAGAIN) return;
  if (!received) return drop_client("cannot receive", received.error());
  if (!received->has_value()) return drop_client();
  sys::Message& message = **received;
  auto decoded = decode_to_launcher(message.bytes, message.fds.size());
  if (!decoded) return drop_client("bad message", decoded.error());
  on_message(std::move(*decoded), std::move(message.fds));
}

void Launcher::on_message(ToLauncher message, std::vector<sys::UniqueFd> fds) {
  if (const auto* hello = std::get_if<HelloMessage>(&message)) {
    send(WelcomeMessage{kLauncherProtocol, static_cast<std::uint32_t>(::getpid()),
                        std::string(tools_.making.cgroups.mode()), TARE_VERSION, instance_});
    greeted_ = hello->protocol == kLauncherProtocol;
    if (!greeted_) drop_client();
    return;
  }
  if (!greeted_) return drop_client();
  if (std::holds_alternative<ListMessage>(message)) return list();
  if (std::holds_alternative<AskPoolMessage>(message)) return send_pool();
  if (auto* order = std::get_if<LaunchMessage>(&message))
    return launch(std::move(*order), std::move(fds));
  if (const auto* expected = std::get_if<PrepareMessage>(&message))
    return prepare(*expected, std::move(fds[0]));
  if (on_exec_message(message, fds)) return;
  if (const auto* kill = std::get_if<KillMessage>(&message)) {
    this->kill(*kill);
  } else if (const auto* close = std::get_if<CloseStdinMessage>(&message)) {
    if (Sandbox* sandbox = find(close->id)) sandbox->close_stdin();
  } else if (const auto* release = std::get_if<ReleaseMessage>(&message)) {
    this->release(release->id);
  } else if (const auto* stop = std::get_if<StopMessage>(&message)) {
    this->stop(stop->id);
  } else if (const auto* change = std::get_if<SwapMessage>(&message)) {
    swap(*change);
  } else if (const auto* go_on = std::get_if<GoOnMessage>(&message)) {
    if (Sandbox* sandbox = find(go_on->id)) this->go_on(*sandbox);
  }
}

// Of a run that is not known (any more) there is nothing to do: its end is told, or on its way.
bool Launcher::on_exec_message(ToLauncher& message, std::vector<sys::UniqueFd>& fds) {
  if (const auto* order = std::get_if<ExecMessage>(&message)) {
    exec(*order, std::move(fds));
  } else if (const auto* signal = std::get_if<ExecSignalMessage>(&message)) {
    if (Sandbox* sandbox = find(signal->id)) sandbox->signal_exec(*signal);
  } else if (const auto* close = std::get_if<ExecCloseStdinMessage>(&message)) {
    if (Sandbox* sandbox = find(close->id)) sandbox->execs().close_stdin(close->exec);
  } else if (const auto* release = std::get_if<ExecReleaseMessage>(&message)) {
    if (Sandbox* sandbox = find(release->id)) sandbox->execs().release(release->exec);
  } else {
    return false;
  }
  return true;
}

void Launcher::exec(const ExecMessage& message, std::vector<sys::UniqueFd> fds) {
  Sandbox* sandbox = find(message.id);
  Result<> started = Error{Errc::conflict, "the sandbox is not running"};
  if (auto room = room_for(fds); !room) {
    started = std::move(room);
  } else if (sandbox != nullptr && sandbox->live()) {
    if (sandbox->execs().knows(message.exec)) {
      config_.log->error("exec started twice", {{"run", message.id}, {"exec", message.exec}});
      return drop_client();
    }
    started = sandbox->exec({tools_.runs_dir.get(), tools_.making.null.get()}, message,
                            std::move(fds));
  }
  if (started) return;
  send(ExecEndedMessage{message.id,
                        message.exec,
                        {model::EndReason::setup_failed, 0, 0, started.error().message},
                        0});
}

// The kernel gives out the lowest free number: below that of a descriptor just received, all are in
// use. Refused while there is still room for what was begun; with none the connection could not
// even be read.
Result<> Launcher::room_for(std::span<const sys::UniqueFd> received) const {
  int highest = 0;
  for (const sys::UniqueFd& fd : received) highest = std::max(highest, fd.get());
  const auto unmade = std::ranges::count_if(
      sandboxes_, [](const auto& entry) { return !entry.second->is_made(); });
  const rlim_t wanted = static_cast<rlim_t>(highest) +
                        kMadeFds * (static_cast<rlim_t>(unmade) + 1) + kSpareFds;
  if (wanted <= most_fds_) return ok();
  return Error{Errc::exhausted, "tare-launcher may have " + std::to_string(most_fds_) +
                                    " files open, and " + std::to_string(sandboxes_.size()) +
                                    " sandboxes take them: end some, or start `tare up` with a "
                                    "higher hard limit (ulimit -Hn, LimitNOFILE=)"};
}

void Launcher::release(const std::string& id) {
  const auto number = numbers_.find(id);
  if (number == numbers_.end()) return;
  const Sandbox& sandbox = *sandboxes_.at(number->second);
  if (sandbox.ended() && !sandbox.released()) let_go(number->second);
}

// Everything that a run has, and once more every end that tared may have missed.
void Launcher::list() {
  for (const auto& [id, number] : numbers_) {
    const Sandbox& sandbox = *sandboxes_.at(number);
    send(sandbox.describe(), sandbox.kept_pipes());
    for (const DeniedMessage& denied : sandbox.denied()) send(denied);
    for (const auto& exec : sandbox.execs().list(id)) send(exec.message, exec.fds);
  }
  send(ListedMessage{});
  for (const auto& [id, number] : numbers_) {
    const Sandbox& sandbox = *sandboxes_.at(number);
    for (const auto& exec : sandbox.execs().list(id)) {
      if (exec.ended != nullptr) send(*exec.ended);
    }
    if (sandbox.ended()) send_ended(sandbox);
  }
}

void Launcher::send_pool() {
  PoolMessage message = counters_;
  message.idle = pool_.idle();
  message.making = pool_.being_made();
  send(message);
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
  if (auto sent = sys::send_message(client_.get(), *bytes, fds); !sent)
    drop_client("cannot send", sent.error());
}

int Launcher::wait_ms() const {
  std::uint64_t next = stopping_ ? 0 : pool_.next_change_us(monotonic_us());
  if (const std::uint64_t own = makers_.deadline_us(); own > 0 && (next == 0 || own < next))
    next = own;
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
  makers_.check(now);
  for (const auto& [number, sandbox] : sandboxes_) {
    if (sandbox->deadline_us() == 0 || sandbox->deadline_us() > now) continue;
    go_on(*sandbox);
    sandbox->on_deadline();
  }
}

void Launcher::end_all() {
  if (stopping_) return;
  stopping_ = true;
  config_.log->info("stopping", {{"sandboxes", sandboxes_.size()}});
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, config_.stop.get(), nullptr);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, config_.listener.get(), nullptr);
  drop_client();
  std::vector<std::uint32_t> over;
  for (const auto& [number, sandbox] : sandboxes_) {
    if (sandbox->ended()) over.push_back(number);
  }
  for (const std::uint32_t number : over) let_go(number);
  for (const auto& [number, sandbox] : sandboxes_) sandbox->end(model::EndReason::launcher_lost);
}

Sandbox* Launcher::find(const std::string& id) {
  const auto number = numbers_.find(id);
  return number == numbers_.end() ? nullptr : sandboxes_.at(number->second).get();
}

}  // namespace tare::sandbox
