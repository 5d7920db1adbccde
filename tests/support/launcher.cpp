#include "support/launcher.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <map>

#include "base/clock.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "sandbox/doctor/facts.h"
#include "sandbox/plan/codec.h"
#include "sandbox/plan/compile.h"
#include "sandbox/plan/render.h"
#include "sandbox/seccomp/build.h"
#include "support/leaks.h"
#include "support/patience.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/landlock.h"
#include "sys/memfd.h"
#include "sys/seqpacket.h"

namespace tare::testing {

namespace {

// Tests stop at once where the machine refuses what they stand on.
template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    throw std::runtime_error(result.error().message);
  }
  return std::move(result).value();
}

const std::string& filter_of(model::Profile profile) {
  static std::array<std::string, 3> filters;
  std::string& filter = filters[static_cast<std::size_t>(profile)];
  if (filter.empty()) filter = must(sandbox::build_filter(profile));
  return filter;
}

// 256 MiB: a tmpfs; where the kernel cannot show one with other ids (before 6.3), an ext4 in a
// file.
void mount_something(const std::string& folder) {
  utsname name = {};
  ::uname(&name);
  const auto version = sandbox::parse_kernel_version(name.release);
  if (version && *version >= sandbox::KernelVersion{6, 3}) {
    if (::mount("tare-test", folder.c_str(), "tmpfs", 0, "mode=0755,size=256m") != 0)
      throw std::runtime_error("mount");
    return;
  }
  const std::string image = folder + ".ext4";
  const std::string command = "truncate -s 256M " + image + " && mkfs.ext4 -q " + image +
                              " && mount -o loop " + image + " " + folder + " && rm " + image +
                              " && rmdir " + folder + "/lost+found && chmod 755 " + folder;
  if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
}

bool wait_for(int fd, int timeout_ms) {
  pollfd wait = {fd, POLLIN, 0};
  return ::poll(&wait, 1, patience_ms(timeout_ms)) == 1;
}

}  // namespace

std::string bin_dir() {
  const char* const given = std::getenv("TARE_BIN_DIR");
  return given != nullptr ? given : TARE_BIN_DIR;
}

sandbox::Walls walls_of(model::Profile profile) {
  return {filter_of(profile), sys::landlock_abi()};
}

std::string fresh_run_id() {
  static RealClock clock;
  static SystemRandom random;
  static RunIdGenerator generator(clock, random);
  return generator.next();
}

std::string read_to_end(int fd) { return must(sys::read_all(fd, std::size_t{4} << 30)); }

model::SandboxSpec host_spec(std::vector<std::string> argv) {
  model::SandboxSpec spec;
  spec.id = fresh_run_id();
  spec.hostname = "tare-test";
  spec.host_root = true;
  spec.argv = std::move(argv);
  spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/home/agent",
              "LANG=C.UTF-8", "TZ=UTC"};
  spec.limits.memory_bytes = std::uint64_t{256} << 20;
  spec.limits.disk_bytes = std::uint64_t{32} << 20;
  spec.limits.disk_inodes = 4096;
  spec.limits.time_ms = static_cast<std::uint64_t>(patience_ms(60'000));
  return spec;
}

model::SandboxSpec shell_spec(const std::string& script) {
  return host_spec({"/bin/sh", "-c", script});
}

TestLauncher::TestLauncher(Home kind, int pool, std::uint64_t open_files)
    : pool_(std::to_string(pool)), open_files_(open_files) {
  std::string path = "/tmp/tare-test-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = home_ = path;
  if (kind == Home::below_a_mount) {
    mount_something(folder_);
    home_ += "/home";
    must(sys::make_dir_at(sys::kCwd, home_, 0755));
  }
  log_ = home_ + "/launcher.log";
  must(sys::make_dir_at(sys::kCwd, home_ + "/run", 0750));
  start();
}

void TestLauncher::start() {
  const std::string program = bin_dir() + "/tare-launcher";
  process_ = must(sys::fork_child());
  if (!process_.valid()) {
    const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, 1);
    ::dup2(log, 2);
    if (open_files_ > 0 && (::prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE) != 0 ||
                            !sys::limit_resource(RLIMIT_NOFILE, open_files_)))
      ::_exit(126);
    ::execl(program.c_str(), "tare-launcher", "--home", home_.c_str(), "--user", "nobody", "--pool",
            pool_.c_str(), nullptr);
    ::_exit(127);
  }
  connect();
}

void TestLauncher::connect() {
  const std::string path = home_ + "/run/launcher.sock";
  for (int i = 0; i < patience_ms(3'000); ++i) {  // 30 s: others build here, too
    auto socket = sys::connect_seqpacket(path);
    if (socket) {
      socket_ = std::move(*socket);
      send(sandbox::HelloMessage{});
      cgroup_mode_ = std::get<sandbox::WelcomeMessage>(next()).cgroup_mode;
      return;
    }
    ::usleep(10'000);
  }
  throw std::runtime_error("tare-launcher did not start: " +
                           sys::read_file_at(sys::kCwd, log_).value_or("no log"));
}

void TestLauncher::kill() {
  must(process_.signal(SIGKILL));
  must(process_.wait(nullptr));
  socket_.reset();
}

void TestLauncher::restart() {
  if (process_.valid()) kill();
  must(sys::remove_at(sys::kCwd, home_ + "/run/launcher.sock"));
  start();
}

TestLauncher::~TestLauncher() {
  socket_.reset();
  if (process_.valid()) {
    (void)process_.signal(SIGTERM);
    (void)process_.wait(nullptr);
  }
  for (const std::string& leak : leaks_of(home_)) ADD_FAILURE() << "left behind: " << leak;
  if (::testing::Test::HasFailure() || std::uncaught_exceptions() > 0) {
    std::fputs(sys::read_file_at(sys::kCwd, log_).value_or("").c_str(), stderr);
  }
  if (home_ != folder_) (void)::umount2(folder_.c_str(), MNT_DETACH);
  (void)sys::remove_tree_at(sys::kCwd, folder_);
}

void TestLauncher::send(const sandbox::ToLauncher& message, const std::vector<int>& fds) {
  must(sys::send_message(socket_.get(), must(sandbox::encode(message)), fds));
}

bool TestLauncher::has_message() const { return wait_for(socket_.get(), 0); }

sandbox::FromLauncher TestLauncher::next(std::vector<sys::UniqueFd>* fds, int timeout_ms) {
  if (!wait_for(socket_.get(), timeout_ms)) throw std::runtime_error("tare-launcher says nothing");
  auto message = must(sys::receive_message(socket_.get()));
  if (!message) throw std::runtime_error("tare-launcher closed the connection");
  auto decoded = must(sandbox::decode_from_launcher(message->bytes, message->fds.size()));
  if (fds != nullptr) *fds = std::move(message->fds);
  return decoded;
}

sandbox::Plans plans_of(const model::SandboxSpec& spec) {
  return must(sandbox::compile(spec, walls_of(spec.profile)));
}

std::string failed_step_of(const model::SandboxSpec& spec, const RunResult& result) {
  if (result.ended.outcome.reason != model::EndReason::setup_failed) return "";
  const sandbox::Plans plans = plans_of(spec);
  const auto& steps = result.ended.in_base ? plans.base : plans.run;
  const std::size_t step = result.ended.failed_step;
  return step == 0 || step > steps.size() ? "" : sandbox::render_step(steps[step - 1]);
}

TestLauncher::Live TestLauncher::launch(const model::SandboxSpec& spec, Gate wanted) {
  return launch(spec, plans_of(spec), wanted);
}

TestLauncher::Live TestLauncher::launch(const model::SandboxSpec& spec, const sandbox::Plans& plans,
                                        Gate wanted) {
  const std::string base_plan = must(sandbox::encode(plans.base));
  const auto base = must(sys::sealed_memfd("base", base_plan, false));
  const auto plan = must(sys::sealed_memfd("plan", must(sandbox::encode(plans.run)), false));
  auto out = must(sys::make_pipe());
  auto err = must(sys::make_pipe());
  auto in = must(sys::make_pipe());
  sandbox::LaunchMessage message;
  message.id = spec.id;
  message.base = {sha256_text(base_plan), spec.host_root, spec.session, spec.layers,
                  spec.network,           spec.limits,    spec.runner};
  message.with_stdin = spec.with_stdin;
  message.with_input = spec.with_input;
  auto gate = must(sys::make_pipe());
  if (wanted == Gate::open) must(sys::write_all(gate.write.get(), "g"));
  std::vector<int> fds = {base.get(),      plan.get(),     gate.read.get(), out.read.get(),
                          out.write.get(), err.read.get(), err.write.get()};
  if (spec.with_stdin) fds.insert(fds.end(), {in.read.get(), in.write.get()});
  send(message, fds);
  return Live{spec.id, std::move(out.read), std::move(err.read),
              spec.with_stdin ? std::move(in.write) : sys::UniqueFd(),
              wanted == Gate::closed ? std::move(gate.write) : sys::UniqueFd()};
}

RunResult TestLauncher::finish(Live live) {
  RunResult result;
  bool out_open = true;
  bool err_open = true;
  bool ended = false;
  std::array<char, 65536> buffer;
  const auto take = [&buffer](int fd, bool& open, std::string& into) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n <= 0) open = false;
    if (n > 0) into.append(buffer.data(), static_cast<std::size_t>(n));
  };
  while (out_open || err_open || !ended) {
    std::array<pollfd, 3> waits = {{{out_open ? live.out.get() : -1, POLLIN, 0},
                                    {err_open ? live.err.get() : -1, POLLIN, 0},
                                    {ended ? -1 : socket_.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), patience_ms(60'000)) <= 0)
      throw std::runtime_error("the run does not end");
    if (waits[0].revents != 0) take(live.out.get(), out_open, result.out);
    if (waits[1].revents != 0) take(live.err.get(), err_open, result.err);
    if (waits[2].revents == 0) continue;
    std::vector<sys::UniqueFd> fds;
    auto message = next(&fds);
    if (auto* started = std::get_if<sandbox::StartedMessage>(&message); started != nullptr) {
      if (started->id == live.id) result.started = *started;
    } else if (auto* denied = std::get_if<sandbox::DeniedMessage>(&message); denied != nullptr) {
      if (denied->id == live.id) result.denied[denied->call] = denied->count;
    } else if (auto* end = std::get_if<sandbox::EndedMessage>(&message);
               end != nullptr && end->id == live.id) {
      result.ended = *end;
      if (!fds.empty()) result.output = std::move(fds.front());
      ended = true;
    }
  }
  send(sandbox::ReleaseMessage{live.id});
  return result;
}

RunResult TestLauncher::run(const model::SandboxSpec& spec, const std::string& input) {
  model::SandboxSpec wanted = spec;
  wanted.with_stdin = wanted.with_stdin || !input.empty();
  Live live = launch(wanted);
  if (wanted.with_stdin) {
    must(sys::write_all(live.in.get(), input));  // small inputs only: they fit into the pipe
    live.in.reset();
    send(sandbox::CloseStdinMessage{live.id});
  }
  return finish(std::move(live));
}

std::vector<double> TestLauncher::burst(const model::SandboxSpec& spec, int count) {
  std::map<std::string, std::uint64_t> sent;
  std::vector<Live> live;  // small outputs: they stay in the pipes
  for (int i = 0; i < count; ++i) {
    model::SandboxSpec each = spec;
    each.id = fresh_run_id();
    sent[each.id] = RealClock().monotonic_us();
    live.push_back(launch(each));
  }
  std::vector<double> took;
  while (!sent.empty()) {
    const auto message = next();
    const auto* ended = std::get_if<sandbox::EndedMessage>(&message);
    if (ended == nullptr) continue;
    const double us = static_cast<double>(RealClock().monotonic_us() - sent.at(ended->id));
    const bool good = ended->outcome.reason == model::EndReason::exited &&
                      ended->outcome.exit_code == 0;
    if (!good) {
      std::fprintf(stderr, "burst: %s %d %s step %u\n",
                   std::string(model::to_string(ended->outcome.reason)).c_str(),
                   ended->outcome.exit_code, ended->outcome.message.c_str(), ended->failed_step);
    }
    took.push_back(good ? us : -1);
    sent.erase(ended->id);
    send(sandbox::ReleaseMessage{ended->id});
  }
  return took;
}

int TestLauncher::fill(const model::SandboxSpec& spec, int count) {
  int up = 0;
  for (int i = 0; i < count; ++i) {
    model::SandboxSpec each = spec;
    each.id = fresh_run_id();
    each.limits.time_ms = 0;
    (void)launch(each);  // the launcher has ends of the pipes, too
    const auto message = next();
    if (std::holds_alternative<sandbox::StartedMessage>(message)) ++up;
  }
  return up;
}

}  // namespace tare::testing
