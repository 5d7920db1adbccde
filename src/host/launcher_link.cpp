#include "host/launcher_link.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "fiber/timer.h"
#include "fiber/wait.h"
#include "sys/files.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr fiber::Duration kGreetingTimeout = 10s;
constexpr fiber::Duration kPoolTimeout = 1s;
constexpr fiber::Duration kPrepareTimeout = 1s;  // making one takes ten milliseconds
constexpr fiber::Duration kFirstRetry = 5ms;
constexpr fiber::Duration kLastRetry = 100ms;
constexpr std::string_view kGone = "tare-launcher died; its sandboxes ended with it";

}  // namespace

Error other_release(std::string_view program, std::string_view version) {
  return Error{Errc::unavailable,
               fmt::format("{} is of release {}, tared of {}: run `tare down`, then `tare up`",
                           program, version, TARE_VERSION)};
}

void LauncherLink::run(const fiber::Context& ctx) {
  fiber::TaskGroup senders(ctx);
  senders_ = &senders;
  fiber::Duration retry = kFirstRetry;
  while (ctx.check()) {
    auto served = connect(ctx);
    if (served) {
      retry = kFirstRetry;
      served = serve(ctx);
    }
    if (!ctx.check()) break;
    disconnected(served.error());
    if (!fiber::sleep_for(retry, ctx)) break;
    retry = std::min(retry * 2, kLastRetry);
  }
  senders_ = nullptr;
  ready_ = false;
  socket_.reset();
}

void LauncherLink::go_on(const std::string& run) {
  if (senders_ == nullptr) return;
  // At once, where it can be: whoever stops it next says so behind this.
  const auto bytes = sandbox::encode(sandbox::GoOnMessage{run});
  if (bytes && ready_ && socket_.valid() && sys::send_message(socket_.get(), *bytes)) return;
  senders_->spawn(
      [this, run](const fiber::Context& ctx) { (void)send(sandbox::GoOnMessage{run}, {}, ctx); });
}

Result<> LauncherLink::connect(const fiber::Context& ctx) {
  auto socket = sys::connect_seqpacket(path_);
  if (!socket) {
    // Nobody listens: it is dead, and with it its sandboxes. Told once.
    if (!absent_told_) events_.on_launcher_gone(std::string(kGone));
    absent_told_ = true;
    known_instance_ = 0;
    return std::move(socket).error();
  }
  TRY(sys::set_nonblocking(socket->get(), true));
  socket_ = std::move(*socket);
  ++connection_;
  const auto welcome = TRY(greet(ctx.with_timeout(kGreetingTimeout)));
  if (known_instance_ != 0 && known_instance_ != welcome.instance) {
    events_.on_launcher_gone(std::string(kGone));
  }
  known_instance_ = welcome.instance;
  absent_told_ = false;
  status_ = {.connected = true, .pid = welcome.pid, .version = welcome.version, .detail = {}};
  log_.info("launcher connected", {{"pid", welcome.pid}, {"cgroups", welcome.cgroup_mode}});
  return send_now(sandbox::ListMessage{}, {}, ctx);
}

Result<sandbox::WelcomeMessage> LauncherLink::greet(const fiber::Context& ctx) {
  TRY(send_now(sandbox::HelloMessage{}, {}, ctx));
  sys::Message message = TRY(receive(ctx));
  auto first = TRY(sandbox::decode_from_launcher(message.bytes, message.fds.size()));
  auto* welcome = std::get_if<sandbox::WelcomeMessage>(&first);
  if (welcome == nullptr) return Error{Errc::internal, "tare-launcher: did not greet"};
  if (welcome->protocol != sandbox::kLauncherProtocol && welcome->version.empty()) {
    welcome->version = fmt::format("unknown (protocol {})", welcome->protocol);
  }
  if (welcome->version == TARE_VERSION) return std::move(*welcome);
  refused_version_ = welcome->version;
  return other_release("tare-launcher", welcome->version);
}

Result<> LauncherLink::serve(const fiber::Context& ctx) {
  for (;;) TRY(dispatch(TRY(receive(ctx))));
}

Result<sys::Message> LauncherLink::receive(const fiber::Context& ctx) {
  for (;;) {
    auto received = sys::receive_message(socket_.get());
    if (received && received->has_value()) return std::move(**received);
    if (received) return Error{Errc::unavailable, "tare-launcher closed the connection"};
    if (received.error().sys != EAGAIN) return std::move(received).error();
    TRY(fiber::wait_readable(socket_.get(), ctx));
  }
}

Result<> LauncherLink::dispatch(sys::Message message) {
  auto decoded = TRY(sandbox::decode_from_launcher(message.bytes, message.fds.size()));
  if (const auto* live = std::get_if<sandbox::LiveMessage>(&decoded)) {
    events_.on_live(*live, std::move(message.fds));
  } else if (std::holds_alternative<sandbox::ListedMessage>(decoded)) {
    ready_ = true;
    events_.on_listed();
    execs_.on_execs_listed();
  } else if (const auto* started = std::get_if<sandbox::StartedMessage>(&decoded)) {
    events_.on_started(*started);
  } else if (const auto* denied = std::get_if<sandbox::DeniedMessage>(&decoded)) {
    events_.on_denied(*denied);
  } else if (const auto* ended = std::get_if<sandbox::EndedMessage>(&decoded)) {
    events_.on_ended(*ended,
                     message.fds.empty() ? sys::UniqueFd() : std::move(message.fds.front()));
  } else if (const auto* pool = std::get_if<sandbox::PoolMessage>(&decoded)) {
    pool_ = *pool;
    ++pool_told_;
    pool_changed_.notify_all();
  } else if (auto* stopped = std::get_if<sandbox::StoppedMessage>(&decoded)) {
    on_stopped(std::move(*stopped), std::move(message.fds));
  } else if (auto* swapped = std::get_if<sandbox::SwappedMessage>(&decoded)) {
    if (const auto waiting = swapping_.find(swapped->id); waiting != swapping_.end())
      waiting->second = std::move(*swapped);
    swapping_changed_.notify_all();
  } else if (const auto* prepared = std::get_if<sandbox::PreparedMessage>(&decoded)) {
    if (const auto waiting = preparing_.find(prepared->number); waiting != preparing_.end())
      waiting->second = prepared->ready;
    preparing_changed_.notify_all();
  } else if (!dispatch_exec(decoded, message.fds)) {
    return Error{Errc::internal, "tare-launcher: greeted twice"};
  }
  return ok();
}

bool LauncherLink::dispatch_exec(const sandbox::FromLauncher& message,
                                 std::vector<sys::UniqueFd>& fds) {
  if (const auto* live = std::get_if<sandbox::LiveExecMessage>(&message)) {
    execs_.on_live_exec(*live, std::move(fds));
  } else if (const auto* started = std::get_if<sandbox::ExecStartedMessage>(&message)) {
    execs_.on_exec_started(*started, fds.empty() ? sys::UniqueFd() : std::move(fds.front()));
  } else if (const auto* ended = std::get_if<sandbox::ExecEndedMessage>(&message)) {
    execs_.on_exec_ended(*ended);
  } else {
    return false;
  }
  return true;
}

Result<> LauncherLink::send(const sandbox::ToLauncher& message, std::span<const int> fds,
                            const fiber::Context& ctx) {
  if (!ready_) return Error{Errc::unavailable, "tare-launcher is not up: run `tare up`"};
  return send_now(message, fds, ctx);
}

Result<sandbox::PoolMessage> LauncherLink::pool(const fiber::Context& ctx) {
  const auto asked_ctx = ctx.with_timeout(kPoolTimeout);
  const std::uint64_t before = pool_told_;
  TRY(send(sandbox::AskPoolMessage{}, {}, asked_ctx));
  TRY(pool_changed_.wait_until([&] { return pool_told_ != before; }, asked_ctx));
  return pool_;
}

void LauncherLink::on_stopped(sandbox::StoppedMessage message, std::vector<sys::UniqueFd> fds) {
  const auto waiting = stopping_.find(message.id);
  if (waiting == stopping_.end()) return;
  waiting->second = {std::move(message), std::move(fds)};
  stopping_changed_.notify_all();
}

Result<StandingSandbox> LauncherLink::stop(const std::string& run, const fiber::Context& ctx) {
  if (stopping_.contains(run))
    return Error{Errc::conflict, run + " is being frozen already: try again in a moment"};
  const std::uint64_t connection = connection_;
  Stopping& mine = stopping_[run];
  const auto answered = [&] { return mine.answer || connection_ != connection || !ready_; };
  auto told = send(sandbox::StopMessage{run}, {}, ctx);
  if (told) told = stopping_changed_.wait_until(answered, ctx);
  Stopping result = std::move(mine);
  stopping_.erase(run);
  if (!told) return std::move(told).error();
  if (!result.answer) return Error{Errc::unavailable, "tare-launcher is gone: run `tare up`"};
  if (!result.answer->error.empty())
    return Error{Errc::conflict, run + " cannot be frozen now: " + result.answer->error};
  return StandingSandbox{std::move(result.fds[0]), std::move(result.fds[1]),
                         result.answer->with_base ? std::move(result.fds[2]) : sys::UniqueFd(),
                         result.answer->uid_base, result.answer->processes};
}

Result<sandbox::SwappedMessage> LauncherLink::swap(sandbox::SwapMessage wanted, bool& touched,
                                                   const fiber::Context& ctx) {
  touched = false;
  const std::string run = wanted.id;
  if (swapping_.contains(run))
    return Error{Errc::conflict, run + " gets another runner already: try again in a moment"};
  const std::uint64_t connection = connection_;
  auto& answer = swapping_[run];
  const auto answered = [&] { return answer || connection_ != connection || !ready_; };
  auto told = send(std::move(wanted), {}, ctx);
  if (told) {
    touched = true;  // until it is known
    told = swapping_changed_.wait_until(answered, ctx);
  }
  auto result = std::move(answer);
  swapping_.erase(run);
  if (!told) return std::move(told).error();
  if (!result) return Error{Errc::unavailable, "tare-launcher is gone: run `tare up`"};
  touched = result->touched;
  if (result->error.empty()) return std::move(*result);
  return Error{Errc::conflict, "its runner cannot be changed: " + result->error};
}

Result<bool> LauncherLink::prepare(const sandbox::SandboxBase& base, int plan,
                                   const fiber::Context& ctx) {
  const auto patient = ctx.with_timeout(kPrepareTimeout);
  const std::uint64_t number = ++last_preparing_, connection = connection_;
  auto& answer = preparing_[number];
  const auto answered = [&] { return answer || connection_ != connection || !ready_; };
  auto told = send(sandbox::PrepareMessage{number, base}, {&plan, 1}, patient);
  if (told) told = preparing_changed_.wait_until(answered, patient);
  const bool there = answer.value_or(false);
  preparing_.erase(number);
  if (!told) return std::move(told).error();
  return there;
}

Result<> LauncherLink::send_now(const sandbox::ToLauncher& message, std::span<const int> fds,
                                const fiber::Context& ctx) {
  const std::string bytes = TRY(sandbox::encode(message));
  const std::uint64_t connection = connection_;
  for (;;) {
    if (connection != connection_ || !socket_.valid()) break;
    auto sent = sys::send_message(socket_.get(), bytes, fds);
    if (sent || sent.error().sys != EAGAIN) return std::move(sent).context("tare-launcher");
    TRY(fiber::wait_writable(socket_.get(), ctx));
  }
  return Error{Errc::unavailable, "the connection to tare-launcher broke"};
}

void LauncherLink::disconnected(const Error& why) {
  const std::string version = std::exchange(refused_version_, {});
  const bool told = !version.empty() && version == status_.version;
  if (!version.empty() && !told) log_.error("launcher refused", why);
  if (status_.connected) log_.warning("launcher disconnected", {{"error", why.message}});
  ready_ = false;
  stopping_changed_.notify_all();
  swapping_changed_.notify_all();
  preparing_changed_.notify_all();
  status_ = {.connected = false, .pid = 0, .version = version, .detail = why.message};
  socket_.reset();
}

}  // namespace tare::host
