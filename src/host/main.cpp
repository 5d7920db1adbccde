// tared: the daemon. API, runs, records; an unprivileged user, no capabilities. Makes no sandbox
// itself.
//
//   tared --home DIR [--user tare] [--port N] [--max-running N]
//
// Started as root it makes the folders it needs, opens its sockets, and becomes the user for good.
// Logs JSON lines on stderr. SIGTERM ends it; sandboxes stay with tare-launcher and are taken up by
// the next tared.
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/limits.h"
#include "host/daemon.h"
#include "host/sandbox_files.h"
#include "sys/fork.h"

namespace tare::host {

namespace {

constexpr const char*
    kUsage = "usage: tared --home DIR [--user NAME] [--port N] [--max-running N]\n";

template <class Number>
bool read_number(std::string_view text, Number least, Number most, Number& into) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    return false;
  into = value;
  return true;
}

std::optional<Config> parse(int argc, char** argv) {
  Config config;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (i + 1 == argc) return std::nullopt;
    const std::string_view value = argv[i + 1];
    bool good = true;
    if (flag == "--home") {
      config.home = value;
    } else if (flag == "--user") {
      config.user = value;
    } else if (flag == "--port") {
      good = read_number<std::uint16_t>(value, 0, 65'535, config.port);
    } else if (flag == "--max-running") {
      good = read_number<std::uint32_t>(value, 1, kMaxLiveRuns, config.max_running);
    } else {
      good = false;
    }
    if (!good) return std::nullopt;
  }
  if (config.home.empty() || config.home.front() != '/') return std::nullopt;
  return config;
}

// A live run takes about a dozen descriptors, a connection one. Each secret in use lies on locked
// pages of its own: as root there is no limit to what we may ask for, else what cannot be locked is
// told when it happens.
void raise_limits() {
  constexpr std::uint64_t kLockedBytes = std::uint64_t{64} << 20;
  (void)sys::raise_resource(RLIMIT_NOFILE, 0);
  (void)sys::raise_resource(RLIMIT_MEMLOCK, kLockedBytes);
}

}  // namespace

}  // namespace tare::host

int main(int argc, char** argv) {
  using namespace tare;
  const auto config = host::parse(argc, argv);
  if (!config) {
    std::fputs(host::kUsage, stderr);
    return 64;
  }
  RealClock clock;
  SystemRandom random;
  FdLogSink sink(STDERR_FILENO);
  const Logger log(sink, clock);
  host::raise_limits();
  // While we may still read where the programs are, and what systemd shows to root alone.
  const auto files_program = host::load_files_program();
  if (!files_program) {
    log.error("tared cannot start", files_program.error());
    return 1;
  }
  const auto vault_key = vault::read_credential(std::getenv("CREDENTIALS_DIRECTORY"));
  if (!vault_key) {
    log.error("tared cannot start", vault_key.error());
    return 1;
  }
  auto prepared = host::prepare_home(*config);
  if (!prepared) {
    log.error("tared cannot start", prepared.error());
    return 1;
  }
  const auto served = host::run_daemon({*config, *prepared, clock, random, log, *files_program,
                                        *vault_key ? &**vault_key : nullptr});
  if (!served) {
    log.error("tared cannot go on", served.error());
    return 1;
  }
  return 0;
}
