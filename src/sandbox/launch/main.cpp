// tare-launcher: the only program of Tare that makes sandboxes. Root, one thread, no JSON, no
// network protocol, no secret. Started by `tare up`; see launcher.h for its loop and
// rootfs/pruned.h for the world it lives in.
//
//   tare-launcher --home DIR [--user tare] [--uid-block N] [--pool N]
//   tare-launcher --home DIR --rootless [--pool N]                for an ordinary user: it executes
//       itself again as root of a user namespace of its own, with --inside instead
//       (sys/own_namespace.h); the person is the user of tared then
//   tare-launcher --doctor --json [--home DIR] [--user tare]      see doctor/doctor.h
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <tuple>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "model/limits.h"
#include "sandbox/cgroup/place.h"
#include "sandbox/doctor/doctor.h"
#include "sandbox/launch/launcher.h"
#include "sandbox/rootfs/pruned.h"
#include "sandbox/rootfs/user_namespaces.h"
#include "sys/capabilities.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/memfd.h"
#include "sys/own_namespace.h"
#include "sys/seqpacket.h"
#include "sys/users.h"

namespace tare::sandbox {

namespace {

constexpr std::uint32_t kDefaultPool = 32;  // sandboxes that wait for a run
constexpr std::uint32_t kMostPool = 2000;
constexpr std::uint32_t kMostMakers = 4;

struct Options {
  std::string home;
  std::string user = "tare";
  std::optional<std::uint32_t> uid_block;
  std::uint32_t pool = kDefaultPool;
  bool doctor = false;
  bool rootless = false;
  bool inside = false;  // root of our own namespace

  Powers powers() const { return inside ? Powers::of_own_namespace : Powers::of_host; }
  std::optional<uid_t> person() const {
    return inside ? std::optional(sys::kPersonInside) : std::nullopt;
  }
};

Result<std::uint32_t> number_in(std::string_view flag, std::string_view value, std::uint32_t most) {
  std::uint32_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, number);
  if (error == std::errc() && at == end && number <= most) return number;
  return Error{Errc::invalid,
               std::string(flag) + ": expected a number from 0 to " + std::to_string(most)};
}

Result<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--doctor") {
      options.doctor = true;
      continue;
    }
    if (flag == "--rootless" || flag == "--inside") {
      (flag == "--inside" ? options.inside : options.rootless) = true;
      continue;
    }
    if (flag == "--json") continue;  // what the doctor says is always JSON
    if (i + 1 == argc)
      return Error{Errc::invalid, "unknown or incomplete flag: " + std::string(flag)};
    const std::string_view value = argv[++i];
    if (flag == "--home") {
      options.home = value;
    } else if (flag == "--user") {
      options.user = value;
    } else if (flag == "--uid-block") {
      options.uid_block = TRY(number_in(flag, value, kUidBlocks - 1));
    } else if (flag == "--pool") {
      options.pool = TRY(number_in(flag, value, kMostPool));
    } else {
      return Error{Errc::invalid, "unknown flag: " + std::string(flag)};
    }
  }
  const bool home_needed = !options.doctor || !options.home.empty();
  if (home_needed && !options.home.starts_with('/')) {
    return Error{Errc::invalid, "--home: expected an absolute path"};
  }
  return options;
}

// A copy that nobody can change, whatever happens to the file (ATTACKS.md S1).
Result<sys::UniqueFd> load_init() {
  constexpr std::size_t kMaxInitBytes = 16 << 20;
  return sys::sealed_memfd("tare-init", TRY(sys::read_program_beside("tare-init", kMaxInitBytes)),
                           true);
}

Result<sys::UniqueFd> stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return sys_error(errno, "sigprocmask");
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  sys::UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return sys_error(errno, "signalfd");
  return fd;
}

// A sandbox takes six or seven descriptors here, twice that while it starts, and a program may ask
// for as many open files as we may hand out. Root may have more than it was started with; who may
// not makes do with that.
constexpr std::uint64_t kOpenFiles = 65'536;  // kSlotsPerBlock sandboxes, twice over

// What every process inside has of these, whatever the shell or the unit had that started us: the
// kernel's own defaults, and no core handler. The others are the plan's. Without CAP_SYS_RESOURCE
// no hard limit is more than it was.
Result<> forget_inherited_limits() {
  constexpr rlim_t kStack = 8 << 20;
  constexpr rlim_t kProcesses = model::LimitBounds::kPidsMax;  // the cgroup has the run's own
  constexpr std::array<std::tuple<__rlimit_resource_t, rlim_t, rlim_t>, 12> kDefaults = {
      {{RLIMIT_CORE, sys::kNoCoreHandler, sys::kNoCoreHandler},
       {RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
       {RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY},
       {RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
       {RLIMIT_STACK, kStack, RLIM_INFINITY},
       {RLIMIT_RSS, RLIM_INFINITY, RLIM_INFINITY},
       {RLIMIT_NPROC, kProcesses, kProcesses},
       {RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
       {RLIMIT_LOCKS, RLIM_INFINITY, RLIM_INFINITY},
       {RLIMIT_NICE, 0, 0},
       {RLIMIT_RTPRIO, 0, 0},
       {RLIMIT_RTTIME, RLIM_INFINITY, RLIM_INFINITY}}};
  for (const auto& [resource, soft, hard] : kDefaults) {
    const rlimit wanted = {soft, hard};
    if (::setrlimit(resource, &wanted) == 0) continue;
    rlimit most = {};
    if (::getrlimit(resource, &most) != 0) return sys_error(errno, "getrlimit");
    most.rlim_max = std::min(most.rlim_max, hard);
    most.rlim_cur = std::min(soft, most.rlim_max);
    if (::setrlimit(resource, &most) != 0) return sys_error(errno, "setrlimit");
  }
  // Not below what a mightier one has set.
  const sys::UniqueFd score = TRY(sys::open_at(sys::kCwd, "/proc/self/oom_score_adj", O_WRONLY));
  (void)sys::write_all(score.get(), "0");
  return ok();
}

// What is left of root after the start: what making, watching and ending sandboxes takes.
Result<> drop_capabilities(const Options& options) {
  std::uint64_t wanted = sys::capability_mask({CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_CHOWN,
                                               CAP_FOWNER, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                                               CAP_KILL, CAP_SYS_CHROOT, CAP_SYS_PTRACE,
                                               CAP_SYS_RESOURCE, CAP_NET_ADMIN, CAP_SETPCAP});
  // To map the 0 of our own namespace into that of a sandbox (user_namespaces(7)).
  if (options.inside) wanted |= sys::capability_mask({CAP_SETFCAP});
  const std::string status = TRY(sys::read_file_at(sys::kCwd, "/proc/self/status"));
  const sys::CapabilitySets held = TRY(sys::parse_capability_status(status));
  return sys::keep_only_capabilities(wanted & held.permitted);
}

// The uid block is the home's own, unless it is named.
SlotTable slots_of(const Options& options, std::string_view digest) {
  if (options.inside) return SlotTable::shared();
  const auto own = static_cast<std::uint32_t>(
      std::stoul(std::string(digest.substr(0, 6)), nullptr, 16));
  return SlotTable(options.uid_block.value_or(own % kUidBlocks));
}

Result<LaunchTools> prepare(const Options& options, std::string_view digest, const Logger& log) {
  const std::string& home = options.home;
  const std::string folder = home + "/launcher";
  TRY(sys::ensure_dir_at(sys::kCwd, folder, 0700));
  TRY(sys::remove_tree_at(sys::kCwd, folder + "/images"));  // templates of an earlier mkfs
  TRY(sys::make_dir_at(sys::kCwd, folder + "/images", 0700));
  TRY(sys::ensure_dir_at(sys::kCwd, home + "/runs",
                         0700));  // tared's; `tare up` has made it with its owner
  TRY(sys::ensure_dir_at(sys::kCwd, home + "/store", 0700));
  TRY(sys::ensure_dir_at(sys::kCwd, home + "/store/layers", 0700));

  CgroupRoot cgroups = TRY(
      CgroupRoot::open(TRY(usable_hierarchies(options.person())), digest.substr(0, 12)));
  if (auto asked = cgroups.ask_for_quick_moves(); !asked)
    log.warning("cgroups: moves will be slow", {{"error", asked.error().message}});
  TRY(cgroups.sweep().context("sweeping the cgroups of an earlier launcher"));

  ImageTools images;
  images.devices = TRY(sys::open_directory("/dev"));
  images.loop_control = sys::open_at(images.devices.get(), "loop-control", O_RDWR)
                            .value_or(sys::UniqueFd());
  images.host = kHostRoot;
  images.folder = folder + "/images";
  sys::UniqueFd init = TRY(load_init().context("tare-init"));

  TRY(enter_pruned_namespace(home, options.powers()).context("mount namespace"));
  const std::string inside = std::string(kHostRoot) + home;
  SlotTable slots = slots_of(options, digest);
  const uid_t first_uid = slots.first_uid();
  UserNamespaces namespaces;
  Skeleton skeleton = TRY(
      make_skeleton(inside + "/launcher", std::string(kHostRoot), TRY(namespaces.of(first_uid)))
          .context("skeleton"));
  sys::UniqueFd null = TRY(sys::open_at(sys::kCwd, "/dev/null", O_RDWR));
  sys::UniqueFd runs = TRY(sys::open_directory(inside + "/runs"));
  return LaunchTools{
      .making = {.cgroups = std::move(cgroups),
                 .skeleton = std::move(skeleton),
                 .images = std::move(images),
                 .host = std::string(kHostRoot),
                 .layers_dir = inside + "/store/layers",
                 .init = std::move(init),
                 .null = std::move(null),
                 .first_uid = first_uid},
      .slots = std::move(slots),
      .runs_dir = std::move(runs),
  };
}

Result<> run(const Options& options, Logger& log) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::umask(0022);
  TRY(sys::raise_resource(RLIMIT_NOFILE, kOpenFiles));
  TRY(forget_inherited_limits());
  const sys::SystemUser user = options.inside
                                   ? sys::SystemUser{"", sys::kPersonInside, sys::kPersonInside}
                                   : TRY(sys::find_user(options.user));
  LauncherConfig config;
  config.stop = TRY(stop_signals());
  config.daemon_uid = user.uid;
  config.log = &log;
  LaunchTools tools = TRY(prepare(options, to_hex(sha256(options.home)), log));
  TRY(drop_capabilities(options).context("dropping capabilities"));
  const std::string socket = std::string(kHostRoot) + options.home + "/run/launcher.sock";
  config.listener = TRY(sys::listen_seqpacket(socket, 0660, user.gid));
  const auto cpus = static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  auto launcher = TRY(
      Launcher::create(std::move(config), std::move(tools),
                       {.most = options.pool, .makers = std::min(cpus, kMostMakers)}));
  log.info("ready", {{"version", TARE_VERSION}, {"home", options.home}});
  return launcher->run();
}

// An ordinary user's doctor looks at what it would have as root of its own user namespace.
int be_doctor(const Options& options, int argc, char** argv, Logger& log) {
  std::string why_not;
  if (::geteuid() != 0) {
    why_not = sys::why_no_own_namespace();
    if (why_not.empty()) why_not = sys::execute_inside_own_namespace(argc, argv).message;
  }
  auto status = run_doctor({options.home, options.user, options.person(), why_not});
  if (status) return *status;
  log.error("cannot tell", status.error());
  return 2;
}

}  // namespace

}  // namespace tare::sandbox

int main(int argc, char** argv) {
  using namespace tare;
  auto options = sandbox::parse(argc, argv);
  if (!options) {
    std::fprintf(stderr, "tare-launcher: %s\n", options.error().message.c_str());
    return 64;
  }
  RealClock clock;
  FdLogSink sink(2);
  Logger log(sink, clock);
  if (options->rootless) {
    log.error("cannot run without root", sys::execute_inside_own_namespace(argc, argv));
    return 1;
  }
  if (options->doctor) return sandbox::be_doctor(*options, argc, argv, log);
  if (auto ran = sandbox::run(*options, log); !ran) {
    log.error("cannot go on", ran.error());
    return 1;
  }
  return 0;
}
