#include "runner_rows.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/json.h"
#include "daemon.h"
#include "peers.h"
#include "support/launcher.h"
#include "support/session.h"

namespace tare::bench {

namespace {

namespace fs = std::filesystem;

// An agent whose runner has versions that execute `program` and nothing else.
class RunnerFolders {
 public:
  explicit RunnerFolders(std::string program) : program_(std::move(program)) {
    fs::create_directories(root_);
    std::ofstream(root_ / "agent.toml")
        << "name = \"bench\"\nenvironment = \"host\"\nrunner = \"bench\"\nentry = \"x\"\n";
  }
  RunnerFolders(const RunnerFolders&) = delete;
  RunnerFolders& operator=(const RunnerFolders&) = delete;
  ~RunnerFolders() { fs::remove_all(root_); }

  bool apply(const Daemon& daemon) const { return tare(daemon, "agent", "apply", root_); }

  fs::path of(int version) const { return root_ / std::to_string(version); }
  bool add(const Daemon& daemon, int version) const {
    const fs::path folder = of(version);
    fs::create_directories(folder);
    std::ofstream(folder / "runner.toml")
        << fmt::format("name = \"bench\"\nversion = \"{}\"\nentry = [\"{}\"]\n", version, program_)
        << "handshake = [\"echo\", '{\"tare_runner\":1}']\n";
    return tare(daemon, "runner", "add", folder);
  }

 private:
  static bool tare(const Daemon& daemon, const std::string& noun, const std::string& verb,
                   const fs::path& folder) {
    return run_program({daemon.tare(), "--home", daemon.home(), noun, verb, folder.string()});
  }

  std::string program_;
  fs::path root_ = fs::path("/tmp") / fmt::format("tare-bench-runner-{}", ::getpid());
};

std::string id_in(const std::string& json) {
  const auto value = parse_json(json);
  return value ? std::string(value->as_object().at("id").as_string()) : "";
}

// Versions of a runner of the files of `from`, but for name and number.
class Versions {
 public:
  Versions(std::string name, fs::path from) : name_(std::move(name)), from_(std::move(from)) {}
  Versions(const Versions&) = delete;
  Versions& operator=(const Versions&) = delete;
  ~Versions() { fs::remove_all(root_); }

  void make(int version) const {
    const fs::path folder = of(version);
    fs::create_directories(root_);
    fs::copy(from_, folder, fs::copy_options::recursive);
    std::ofstream(folder / "runner.toml") << with_version(version);
  }
  bool add(const Daemon& daemon, int version) const {
    return run_program(
        {daemon.tare(), "--home", daemon.home(), "runner", "add", of(version).string()});
  }
  std::string reference(int version) const { return fmt::format("{}@{}", name_, version); }

 private:
  fs::path of(int version) const { return root_ / std::to_string(version); }
  std::string with_version(int version) const {
    std::ifstream in(from_ / "runner.toml");
    std::string text;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("name =")) line = fmt::format("name = \"{}\"", name_);
      if (line.starts_with("version =")) line = fmt::format("version = \"{}\"", version);
      text += line + "\n";
    }
    return text;
  }
  std::string name_;
  fs::path from_;
  fs::path root_ = fs::path("/tmp") / fmt::format("tare-bench-{}-{}", name_, ::getpid());
};

// A live session's runner is exchanged, from the request to the answer: each time a version that
// was added just before, with nothing in between, then between two. And the adding, which has it
// tried in the session's environment; its peer is of a runner that no session has.
void swap_rows(const Options& options, Daemon& daemon, const std::string& name,
               const fs::path& files, const std::string& suffix) {
  const Versions versions(name, files), unused("unused-" + name, files);
  Samples fresh, own, added;
  Peer alone{"no session has it", {}};
  versions.make(1);
  if (!versions.add(daemon, 1)) ++fresh.failed;
  const std::string id = id_in(
      daemon.ask("POST", "/v1/sessions",
                 fmt::format(R"({{"environment":"host","runner":"{}"}})", versions.reference(1))));
  const auto swap = [&](Samples& samples, int version) {
    const std::string chosen = fmt::format(R"({{"runner":"{}"}})", versions.reference(version));
    samples.measure(
        [&] { return !daemon.ask("POST", "/v1/sessions/" + id + "/runner", chosen).empty(); });
  };
  for (int i = 0; i < options.n; ++i) {
    unused.make(i);
    alone.samples.measure([&] { return unused.add(daemon, i); });
    ::usleep(30'000);
    versions.make(2 + i);
    added.measure([&] { return versions.add(daemon, 2 + i); });
    swap(fresh, 2 + i);
    ::usleep(30'000);
  }
  for (int i = 0; i < options.n; ++i) {
    ::usleep(30'000);
    swap(own, 2 + i % 2);
  }
  (void)daemon.ask("POST", "/v1/runs/" + id + "/kill", "");
  print_row(options, "runner_add" + suffix, added, &alone);
  print_row(options, "runner_swap_new" + suffix, fresh);
  print_row(options, "runner_swap" + suffix, own);
}

// The part of it in which the session stands still and nothing runs in it, as the launcher does it.
void stand_still_row(const Options& options) {
  testing::TestLauncher launcher;
  model::SandboxSpec spec = testing::session_spec();
  std::vector<std::string> digests;
  for (const char digit : {'a', 'b'}) {
    const std::string hex(64, digit);
    fs::create_directories(fs::path(launcher.home()) / "store/layers" / hex / "root");
    digests.push_back("sha256:" + hex);
  }
  spec.runner = digests[0];
  testing::TestSession session(launcher, spec);
  Samples own;
  for (int i = 0; i < options.n; ++i) {
    ::usleep(5'000);
    own.measure([&] {
      launcher.send(
          sandbox::SwapMessage{session.id(), digests[static_cast<std::size_t>(i + 1) % 2]});
      for (;;) {
        const auto message = launcher.next();
        if (const auto* swapped = std::get_if<sandbox::SwappedMessage>(&message))
          return swapped->error.empty();
      }
    });
  }
  session.kill();
  print_row(options, "runner_exchange", own);
}

}  // namespace

void runner_rows(const Options& options) {
  Daemon daemon;
  const VisibleClock clock;
  const RunnerFolders folders(clock.path());
  Samples changed;
  Peer same{"no change", {}};
  if (!folders.add(daemon, 1) || !folders.apply(daemon)) ++changed.failed;
  const std::string body = R"({"agent":"bench"})";
  const auto run = [&](Samples& samples) {
    const std::uint64_t sent = RealClock().monotonic_us();
    const std::uint64_t at = daemon.run_us(body);
    if (at < sent) {
      ++samples.failed;
    } else {
      samples.us.push_back(static_cast<double>(at - sent));
    }
  };
  const auto use = [&](int version) {
    const std::string chosen = fmt::format(R"({{"runner":"bench@{}"}})", version);
    return !daemon.ask("POST", "/v1/agents/bench/runner", chosen).empty();
  };
  // Each time a version that nothing has ever run with; the peer comes after a request, too.
  for (int i = 0; i < options.n; ++i) {
    const int version = 2 + i;
    if (!folders.add(daemon, version)) ++changed.failed;
    ::usleep(30'000);  // the pool is refilled in quiet moments, for both alike
    (void)daemon.ask("GET", "/v1/agents/bench/runner", "");
    run(same.samples);
    ::usleep(30'000);
    if (!use(version)) ++changed.failed;
    run(changed);  // the very next thing
  }
  print_row(options, "runner_change", changed, &same);
  swap_rows(options, daemon, "echo", folders.of(1), "");
  for (const std::string name : {"python", "node"}) {
    const fs::path shipped = fs::path(daemon.tare()).parent_path() / "../share/tare/runners" / name;
    swap_rows(options, daemon, name, shipped, "_" + name);
  }
  stand_still_row(options);
}

}  // namespace tare::bench
