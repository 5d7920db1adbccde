#include "support/session.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "sandbox/plan/codec.h"
#include "sandbox/plan/compile.h"
#include "support/stepper.h"
#include "sys/files.h"
#include "sys/memfd.h"

namespace tare::testing {

namespace {

constexpr std::uint32_t kItself = 0;  // execs are numbered from 1

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
void must(const Result<>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

}  // namespace

model::SandboxSpec session_spec() {
  model::SandboxSpec spec = host_spec({});
  spec.session = true;
  spec.limits.time_ms = 0;
  return spec;
}

model::ExecSpec exec_spec(std::vector<std::string> argv) {
  model::ExecSpec exec;
  exec.argv = std::move(argv);
  exec.env = host_spec({}).env;
  return exec;
}

model::ExecSpec shell_exec(const std::string& script) {
  return exec_spec({"/bin/sh", "-c", script});
}

TestSession::TestSession(TestLauncher& launcher, model::SandboxSpec spec)
    : launcher_(launcher), spec_(std::move(spec)) {
  (void)launcher_.launch(spec_);
  const auto message = launcher_.next();
  if (!std::holds_alternative<sandbox::StartedMessage>(message))
    throw std::runtime_error("the session did not start");
}

pid_t TestSession::init() const {
  const std::vector<pid_t> all = inits_of(launcher_.home());
  if (all.size() != 1) throw std::runtime_error("not one sandbox");
  return all[0];
}

void TestSession::send(const sandbox::ExecMessage& message, const model::ExecSpec& exec,
                       const std::vector<int>& fds) {
  const auto steps = must(sandbox::compile_exec(exec, spec_, walls_of(spec_.profile)));
  const auto plan = must(sys::sealed_memfd("exec", must(sandbox::encode(steps)), false));
  std::vector<int> all = {plan.get()};
  all.insert(all.end(), fds.begin(), fds.end());
  launcher_.send(message, all);
}

ExecHandle TestSession::start(const model::ExecSpec& exec, bool with_stdin) {
  sandbox::ExecMessage message;
  message.id = id();
  message.exec = next_number();
  message.terminal = exec.terminal.has_value();
  message.with_stdin = with_stdin;
  ExecHandle handle;
  handle.number = message.exec;
  if (message.terminal) {
    send(message, exec, {});
    return handle;
  }
  auto out = must(sys::make_pipe());
  auto err = must(sys::make_pipe());
  auto in = must(sys::make_pipe());
  std::vector<int> fds = {out.read.get(), out.write.get(), err.read.get(), err.write.get()};
  if (with_stdin) fds.insert(fds.end(), {in.read.get(), in.write.get()});
  send(message, exec, fds);
  handle.out = std::move(out.read);
  handle.err = std::move(err.read);
  if (with_stdin) handle.in = std::move(in.write);
  return handle;
}

void TestSession::take_message() {
  std::vector<sys::UniqueFd> fds;
  auto message = launcher_.next(&fds, 60'000);
  if (const auto* started = std::get_if<sandbox::ExecStartedMessage>(&message)) {
    started_[started->exec] = fds.empty() ? sys::UniqueFd() : std::move(fds[0]);
  } else if (const auto* exec = std::get_if<sandbox::ExecEndedMessage>(&message)) {
    if (!ended_.emplace(exec->exec, *exec).second && told_again_.erase(exec->exec) == 0)
      ADD_FAILURE() << "the end of exec " << exec->exec << " is told twice";
  } else if (const auto* live = std::get_if<sandbox::LiveExecMessage>(&message)) {
    live_[live->exec] = {*live, std::move(fds)};
  } else if (std::holds_alternative<sandbox::ListedMessage>(message)) {
    listing_ = false;
    for (const auto& [number, known] : ended_) told_again_.insert(number);
    if (end_) told_again_.insert(kItself);
  } else if (const auto* end = std::get_if<sandbox::EndedMessage>(&message)) {
    if (end->id != id()) return;
    if (end_ && told_again_.erase(kItself) == 0)
      ADD_FAILURE() << "the end of " << id() << " is told twice";
    end_ = *end;
  } else {
    told_.push_back(std::move(message));
  }
}

const std::vector<sandbox::FromLauncher>& TestSession::told() {
  while (launcher_.has_message()) take_message();
  return told_;
}

std::optional<sys::UniqueFd> TestSession::started(std::uint32_t number) {
  while (!started_.contains(number) && !ended_.contains(number) && !end_) take_message();
  if (!started_.contains(number)) return std::nullopt;
  return std::move(started_[number]);
}

sandbox::ExecEndedMessage TestSession::ended(std::uint32_t number) {
  const bool over = end_.has_value();  // then the answer is a refusal
  while (!ended_.contains(number)) {
    if (end_ && !over) throw std::runtime_error("the sandbox ended: " + end_->outcome.message);
    take_message();
  }
  return ended_[number];
}

ExecResult TestSession::finish(ExecHandle exec, const std::string& input) {
  ExecResult result;
  std::string_view left = input;
  if (exec.in.valid()) must(sys::set_nonblocking(exec.in.get(), true));
  const auto close_stdin = [&] {
    exec.in.reset();
    launcher_.send(sandbox::ExecCloseStdinMessage{id(), exec.number});
  };
  if (exec.in.valid() && left.empty()) close_stdin();
  static std::array<char, 1 << 18> buffer;
  while (exec.out.valid() || exec.err.valid()) {
    std::array<pollfd, 3> waits = {{{exec.out.get(), POLLIN, 0},
                                    {exec.err.get(), POLLIN, 0},
                                    {exec.in.valid() ? exec.in.get() : -1, POLLOUT, 0}}};
    if (::poll(waits.data(), waits.size(), 60'000) <= 0)
      throw std::runtime_error("the exec says nothing");
    for (const auto& [wait, fd, text] :
         {std::tuple(&waits[0], &exec.out, &result.out), {&waits[1], &exec.err, &result.err}}) {
      if (wait->revents == 0) continue;
      const ssize_t n = ::read(fd->get(), buffer.data(), buffer.size());
      if (n <= 0) fd->reset();
      if (n > 0) text->append(buffer.data(), static_cast<std::size_t>(n));
    }
    if (waits[2].revents == 0) continue;
    const ssize_t n = ::write(exec.in.get(), left.data(), left.size());
    if (n > 0) left.remove_prefix(static_cast<std::size_t>(n));
    if (left.empty() || (n < 0 && errno == EPIPE)) close_stdin();
  }
  const auto end = ended(exec.number);
  result.outcome = end.outcome;
  result.failed_step = end.failed_step;
  release(exec.number);
  return result;
}

ExecResult TestSession::run(const model::ExecSpec& exec, const std::string& input) {
  return finish(start(exec, !input.empty()), input);
}

void TestSession::signal(std::uint32_t number, int signal) {
  launcher_.send(sandbox::ExecSignalMessage{id(), number, static_cast<std::uint32_t>(signal)});
}

void TestSession::release(std::uint32_t number) {
  launcher_.send(sandbox::ExecReleaseMessage{id(), number});
}

sandbox::EndedMessage TestSession::wait_end() {
  // One that was told between the greeting and the list comes once more, after it.
  while (!end_ || told_again_.contains(kItself)) take_message();
  launcher_.send(sandbox::ReleaseMessage{id()});
  return *end_;
}

sandbox::EndedMessage TestSession::kill() {
  launcher_.send(sandbox::KillMessage{id()});
  return wait_end();
}

std::vector<sandbox::LiveExecMessage> TestSession::list(std::map<std::uint32_t, ExecHandle>* kept) {
  launcher_.send(sandbox::ListMessage{});
  listing_ = true;
  live_.clear();
  while (listing_) take_message();
  std::vector<sandbox::LiveExecMessage> out;
  for (auto& [number, live] : live_) {
    out.push_back(live.first);
    if (kept == nullptr) continue;
    ExecHandle& handle = (*kept)[number];
    handle.number = number;
    auto& fds = live.second;
    if (live.first.terminal) {
      if (!fds.empty()) handle.out = std::move(fds[0]);
      continue;
    }
    handle.out = std::move(fds[0]);
    handle.err = std::move(fds[1]);
    if (live.first.with_stdin) handle.in = std::move(fds[2]);
  }
  return out;
}

}  // namespace tare::testing
