// tare-store: owns the layers and collects what agents leave behind. Started as root:
//   tare-store --home DIR --user tare
//       --import-bytes SIZE: what archives that are being unpacked may take together (64G)
//   tare-store --home DIR --rootless      for an ordinary user: executes itself again as root of a
//       user namespace of its own, with --inside (sys/own_namespace.h)
// It keeps uid 0 with four capabilities (privileges.h) and no network, and listens on
// DIR/run/store.sock. Ready when that socket accepts connections. SIGTERM and SIGINT end it and its
// jobs; so does SIGKILL, and the next start removes what they left unfinished.
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "snapshot/import_budget.h"
#include "snapshot/layer_store.h"
#include "snapshot/privileges.h"
#include "snapshot/service.h"
#include "sys/files.h"
#include "sys/own_namespace.h"
#include "sys/seqpacket.h"
#include "sys/users.h"

namespace tare::snapshot {
namespace {

constexpr std::uint64_t
    kLockWaitMs = 10'000;  // jobs of a killed predecessor die at once, but not instantly
constexpr std::string_view
    kUsage = "usage: tare-store --home DIR [--user NAME] [--import-bytes SIZE]\n";

struct Options {
  std::string home;
  std::string user = "tare";
  std::uint64_t import_bytes = kDefaultImportBytes;
  bool rootless = false;
  bool inside = false;  // root of our own namespace
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--rootless" || name == "--inside") {
      (name == "--inside" ? options.inside : options.rootless) = true;
      --i;
      continue;
    }
    if (i + 1 >= argc) return std::nullopt;
    if (name == "--home")
      options.home = argv[i + 1];
    else if (name == "--user")
      options.user = argv[i + 1];
    else if (const auto size = parse_size(argv[i + 1]); name == "--import-bytes" && size)
      options.import_bytes = *size;
    else
      return std::nullopt;
  }
  if (options.home.empty() || options.home.front() != '/') return std::nullopt;
  return options;
}

Result<sys::UniqueFd> stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return sys_error(errno, "sigprocmask");
  sys::UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return sys_error(errno, "signalfd");
  return fd;
}

Result<sys::UniqueFd> prepare_home(const Options& options, const sys::SystemUser& user) {
  TRY(sys::ensure_dir_at(sys::kCwd, options.home, 0755));
  sys::UniqueFd home = TRY(sys::open_at(sys::kCwd, options.home, O_RDONLY | O_DIRECTORY));
  TRY(sys::ensure_dir_at(home.get(), "run", 0750));
  if (options.inside) return home;  // it stays the person's
  const sys::UniqueFd run = TRY(sys::open_beneath(home.get(), "run", O_RDONLY | O_DIRECTORY));
  TRY(sys::own_at(home.get(), "run", 0, user.gid));
  TRY(sys::chmod_fd(run.get(), 0750));
  return home;
}

Result<> serve(const Options& options, const Logger& log) {
  if (::geteuid() != 0) return Error{Errc::denied, "tare-store must be started as root"};
  ::umask(077);
  const sys::SystemUser user = options.inside
                                   ? sys::SystemUser{"", sys::kPersonInside, sys::kPersonInside}
                                   : TRY(sys::find_user(options.user));
  const sys::UniqueFd home = TRY(prepare_home(options, user));
  LayerStore store = TRY(LayerStore::open(home.get(), user.uid, user.gid));
  TRY(store.lock(kLockWaitMs));
  const std::size_t swept = TRY(store.sweep());
  const sys::UniqueFd stop = TRY(stop_signals());
  sys::UniqueFd listener = TRY(
      sys::listen_seqpacket(options.home + "/run/store.sock", 0660, user.gid));
  TRY(drop_privileges());
  RealClock clock;
  SystemRandom random;
  ImportBudget budget = TRY(ImportBudget::make(options.import_bytes));
  log.info("store ready", {{"home", options.home}, {"swept", swept}});
  Service service({store, log, clock, random, budget}, std::move(listener), stop.get());
  TRY(service.run());
  log.info("store stopped");
  return ok();
}

}  // namespace
}  // namespace tare::snapshot

int main(int argc, char** argv) {
  using namespace tare;
  const auto options = snapshot::parse(argc, argv);
  if (!options) {
    std::fputs(snapshot::kUsage.data(), stderr);
    return 64;
  }
  FdLogSink sink(STDERR_FILENO);
  RealClock clock;
  const Logger log(sink, clock);
  if (options->rootless) {
    log.error("cannot run without root", sys::execute_inside_own_namespace(argc, argv));
    return 70;
  }
  const auto served = snapshot::serve(*options, log);
  if (served) return 0;
  log.error("store cannot go on", served.error());
  return 70;
}
