// Limits, by the launcher's own cgroup code, on scratch cgroups: armed, and then hit.
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/clock.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/cgroup/place.h"
#include "sandbox/cgroup/settings.h"
#include "sandbox/doctor/box.h"
#include "sandbox/doctor/check.h"
#include "sandbox/doctor/facts.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

constexpr int kPauseMs = 1;

struct Cgroups {
  std::vector<Hierarchy> needed;
  CgroupRoot root;
};

Result<Cgroups> open_cgroups(const Host& host) {
  std::vector<Hierarchy> needed = TRY(usable_hierarchies(host.inside ? host.inside : host.person));
  CgroupRoot root = TRY(CgroupRoot::open(needed, host.tag));
  return Cgroups{std::move(needed), std::move(root)};
}

model::Limits small_limits() {
  model::Limits limits;
  limits.memory_bytes = 16 * kMiB;
  limits.pids = 16;
  return limits;
}

// What the kernel says of a control file of one of our cgroups, without the newline.
Result<std::string> read_control(const Host& host, const Hierarchy& hierarchy,
                                 const std::string& name, std::string_view file) {
  std::string text = TRY(sys::read_file_at(
      sys::kCwd, hierarchy.path + "/tare-" + host.tag + "/" + name + "/" + std::string(file)));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

BoxAnswer use_memory(int mebibytes) {
  const std::size_t size = static_cast<std::size_t>(mebibytes) * kMiB;
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                              -1, 0);
  if (memory == MAP_FAILED) return box_failed("map memory");
  auto* const bytes = static_cast<volatile char*>(memory);
  for (std::size_t at = 0; at < size; at += 4096) bytes[at] = 1;
  return box_done();
}

// As PID 1 of its namespace: those it has made end with it.
BoxAnswer fork_until_refused(int most) {
  for (int made = 0; made < most; ++made) {
    const long pid = ::syscall(SYS_fork);
    if (pid < 0)
      return errno == EAGAIN ? box_done(static_cast<std::uint64_t>(made)) : box_failed("fork");
    if (pid == 0) {
      for (;;) ::pause();
    }
  }
  return box_failed("be refused one more process", EPROTO);
}

// A tree in which every process forks whenever it can.
BoxAnswer fork_for_ever(int) {
  for (;;) {
    if (::syscall(SYS_fork) < 0) ::poll(nullptr, 0, kPauseMs);
  }
}

BoxAnswer spin(int) {
  for (;;) ::sched_yield();
}

std::string milliseconds(std::uint64_t us) {
  return std::to_string(us / 1000) + "." + std::to_string(us / 100 % 10) + " ms";
}

// How many processes there are in the pids cgroup `name`.
Result<std::uint64_t> count_processes(const Host& host, const Cgroups& cgroups,
                                      const std::string& name) {
  for (const Hierarchy& hierarchy : cgroups.needed) {
    if (!hierarchy.has("pids")) continue;
    return parse_count(TRY(read_control(host, hierarchy, name, "pids.current"))).value_or(0);
  }
  return Error{Errc::unavailable, "no pids controller"};
}

}  // namespace

Result<std::string> check_cgroups(const Host& host) {
  Cgroups cgroups = TRY(open_cgroups(host));
  std::string detail(cgroups.root.mode());
  for (const Hierarchy& hierarchy : cgroups.needed) {
    detail += ", " + hierarchy.path;
    if (hierarchy.unified) detail += " (kill)";
  }
  return detail;
}

Result<std::string> check_quick_moves(const Host& host) {
  Cgroups cgroups = TRY(open_cgroups(host));
  if (cgroups.root.mode() == "v2")
    return std::string("not needed: on v2 a process is born in its cgroup");
  TRY(cgroups.root.ask_for_quick_moves());
  constexpr int kMoves = 20;
  const Cgroup cgroup = TRY(Cgroup::create(cgroups.root, "moves", small_limits()));
  const RealClock clock;
  std::uint64_t longest_us = 0;
  for (int i = 0; i < kMoves; ++i) {
    const std::uint64_t begin = clock.monotonic_us();
    const Box box = TRY(Box::start(&spin, {.cgroup = &cgroup}));
    longest_us = std::max(longest_us, clock.monotonic_us() - begin);
  }
  return "asked for; the slowest of " + std::to_string(kMoves) + " processes was started after " +
         milliseconds(longest_us);
}

Result<std::string> check_armed_limits(const Host& host) {
  const Cgroups cgroups = TRY(open_cgroups(host));
  const model::Limits limits = small_limits();
  const std::string name = "armed";
  const Cgroup cgroup = TRY(Cgroup::create(cgroups.root, name, limits));
  std::string detail;
  for (const Hierarchy& hierarchy : cgroups.needed) {
    const auto version = hierarchy.unified ? CgroupVersion::v2 : CgroupVersion::v1;
    for (const CgroupSetting& setting : cgroup_settings(limits, version)) {
      if (!hierarchy.has(setting.controller)) continue;
      auto value = read_control(host, hierarchy, name, setting.file);
      if (!value && setting.need != Presence::always) continue;
      if (!value) return std::move(value).error();
      const std::string said = std::string(setting.file) + " " + *value;
      if (*value != setting.value) {
        return Error{Errc::internal, said + ", though it was set to " + setting.value};
      }
      detail += (detail.empty() ? "" : ", ") + said;
    }
  }
  return detail;
}

Result<std::string> check_memory_limit(const Host& host) {
  const Cgroups cgroups = TRY(open_cgroups(host));
  const model::Limits limits = small_limits();
  const Cgroup cgroup = TRY(Cgroup::create(cgroups.root, "memory", limits));
  constexpr int kTooMuch = 64;  // MiB
  Box box = TRY(Box::start(&use_memory, {.cgroup = &cgroup, .argument = kTooMuch}));
  const BoxEnd end = TRY(box.finish());
  if (end.answer) return Error{Errc::internal, "a process could use more than the limit"};
  constexpr int kEventMs = 1'000;
  pollfd wait = {cgroup.oom_fd(), cgroup.oom_events(), 0};
  if (::poll(&wait, 1, kEventMs) != 1) return Error{Errc::internal, "the kernel sent no event"};
  if (cgroup.oom_kills() == 0) return Error{Errc::internal, "the kernel counted no kill"};
  return "a process that used " + std::to_string(kTooMuch) + "M of " +
         format_size(limits.memory_bytes) + " was killed, and the event came";
}

Result<std::string> check_process_limit(const Host& host) {
  const Cgroups cgroups = TRY(open_cgroups(host));
  model::Limits limits = small_limits();
  const Cgroup cgroup = TRY(Cgroup::create(cgroups.root, "pids", limits));
  const std::uint64_t made = TRY(
      perform_in_box(&fork_until_refused, {.namespaces = CLONE_NEWUSER | CLONE_NEWPID,
                                           .cgroup = &cgroup,
                                           .argument = static_cast<int>(limits.pids) + 2}));
  if (made != limits.pids) {
    return Error{Errc::internal, "refused after " + std::to_string(made) + " processes of " +
                                     std::to_string(limits.pids)};
  }
  return "one more than " + std::to_string(made) + " processes was refused";
}

Result<std::string> check_cpu_limit(const Host& host) {
  const Cgroups cgroups = TRY(open_cgroups(host));
  model::Limits limits = small_limits();
  limits.cpu_millis = model::LimitBounds::kCpuMin;
  const Cgroup cgroup = TRY(Cgroup::create(cgroups.root, "cpu", limits));
  const Box box = TRY(Box::start(&spin, {.cgroup = &cgroup}));
  // A process that wants all of a core is held back at the end of the first period, 100 ms; on a
  // busy machine it may not even get the little it is allowed.
  constexpr std::uint64_t kPatienceUs = 500'000;
  const RealClock clock;
  const std::uint64_t begin = clock.monotonic_us();
  model::Usage usage;
  while (clock.monotonic_us() - begin < kPatienceUs && usage.cpu_throttled_us == 0) {
    ::poll(nullptr, 0, 5 * kPauseMs);
    cgroup.read_usage(usage);
  }
  if (usage.cpu_throttled_us == 0) return std::string("armed; the machine is too busy to hit it");
  return "a busy process was held back for " + milliseconds(usage.cpu_throttled_us);
}

Result<std::string> check_kill(const Host& host) {
  const Cgroups cgroups = TRY(open_cgroups(host));
  model::Limits limits = small_limits();
  limits.pids = 63;
  limits.memory_bytes = 128 * kMiB;
  limits.cpu_millis = 64'000;  // a process that is held back could not die
  Cgroup cgroup = TRY(Cgroup::create(cgroups.root, "kill", limits));
  Box box = TRY(
      Box::start(&fork_for_ever, {.namespaces = CLONE_NEWUSER | CLONE_NEWPID, .cgroup = &cgroup}));
  const RealClock clock;
  constexpr std::uint64_t kGrowUs = 1'000'000;
  const std::uint64_t begin = clock.monotonic_us();
  std::uint64_t processes = 0;
  while (processes < limits.pids && clock.monotonic_us() - begin < kGrowUs) {
    ::poll(nullptr, 0, kPauseMs);
    processes = TRY(count_processes(host, cgroups, "kill"));
  }
  const std::uint64_t killed = clock.monotonic_us();
  TRY(cgroup.kill());
  const BoxEnd end = TRY(box.finish());
  if (!end.status.signalled) return Error{Errc::internal, "the tree ended otherwise"};
  const std::uint64_t gone = clock.monotonic_us();
  TRY(cgroup.remove().context("not all of the tree is gone"));
  return "a tree of " + std::to_string(processes) + " processes that fork was gone after " +
         milliseconds(gone - killed);
}

}  // namespace tare::sandbox
