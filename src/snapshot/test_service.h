// For this module's tests only: the real tare-store, started in a home of its own.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <functional>
#include <sstream>

#include "base/clock.h"
#include "snapshot/client.h"
#include "snapshot/service.h"
#include "snapshot/test_support.h"
#include "sys/fork.h"
#include "sys/users.h"

namespace tare::snapshot::test {

inline constexpr const char* kUser = "nobody";  // stands for tare: exists everywhere
inline constexpr TreeLimits kLimits = {
    .max_entries = 100'000, .max_bytes = 1 << 30, .max_file_bytes = 1 << 30};
inline const std::string kRun = "run_01jd8k3m5n7p9q1r3s5t7v9w1x";

// Until it holds; the bound only keeps a failing test from hanging.
inline bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 3000; ++i) {
    if (holds()) return true;
    (void)::poll(nullptr, 0, 10);
  }
  return false;
}

inline std::string small_tar(int files, const std::string& content) {
  std::vector<TarEntry> entries = {{.name = "d", .type = '5', .mode = 0755}};
  for (int i = 0; i < files; ++i)
    entries.push_back({.name = "d/" + std::to_string(i), .content = content});
  return tar_of(entries);
}

// The descendants of a process, jobs and their unpackers.
inline std::vector<pid_t> descendants(pid_t pid) {
  std::vector<pid_t> found;
  const std::string path = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) +
                           "/children";
  std::istringstream list(sys::read_file_at(sys::kCwd, path).value_or(""));
  for (pid_t child = 0; list >> child;) {
    found.push_back(child);
    for (const pid_t below : descendants(child)) found.push_back(below);
  }
  return found;
}

class RunningStore : public testing::Test {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    start();
  }
  void start() {
    sys::Child child = sys::fork_child().value();
    if (!child.valid()) {
      for (const auto& [name, value] : environment_) ::setenv(name.c_str(), value.c_str(), 1);
      const std::string program = std::string(TARE_BIN_DIR) + "/tare-store";
      const sys::UniqueFd log = sys::open_at(home_.fd(), "log", O_WRONLY | O_CREAT | O_APPEND, 0600)
                                    .value();
      ::dup2(log.get(), STDERR_FILENO);
      ::execl(program.c_str(), "tare-store", "--home", home_.path().c_str(), "--user", kUser,
              "--import-bytes", import_bytes_, nullptr);
      ::_exit(127);
    }
    store_ = std::move(child);
    ASSERT_TRUE(eventually([&] { return StoreClient::connect(socket(), "test").ok(); }))
        << home_.read("log");
  }
  void kill_store() {
    ASSERT_TRUE(store_.signal(SIGKILL).ok());
    ASSERT_TRUE(store_.wait(nullptr).ok());
  }
  std::string socket() const { return home_.path() + "/run/store.sock"; }
  StoreClient client() const { return StoreClient::connect(socket(), "test").value(); }
  std::vector<std::string> staged() const {
    return sys::list_dir(home_.fd(), "store/staging").value();
  }

  static Result<Imported> import(StoreClient& client, std::string_view archive) {
    const sys::UniqueFd file = as_file(archive), secrets = as_file("");
    const int fds[] = {file.get(), secrets.get()};
    return expect<Imported>(client.call(ImportTar{kLimits, 60'000}, fds));
  }
  // A folder as the upper of a sandbox that stands on `layers`.
  static Freeze freeze_of(std::vector<std::string> layers = {}) {
    return {.layers = std::move(layers),
            .owner_base = 0,
            .owner_count = 65'536,
            .without = {},
            .limits = kLimits,
            .timeout_ms = 60'000};
  }
  // Every layer that is listed, verified.
  void expect_only_whole_layers() {
    StoreClient c = client();
    const auto page = expect<LayerPage>(c.call(ListLayers{}));
    ASSERT_TRUE(page.ok()) << page.error().message;
    EXPECT_EQ(page->layers.size(), sys::list_dir(home_.fd(), "store/layers").value().size());
    for (const LayerInfo& layer : page->layers) {
      const auto verified = expect<Verified>(c.call(VerifyLayer{layer.digest}));
      ASSERT_TRUE(verified.ok()) << verified.error().message;
      EXPECT_TRUE(verified->intact) << verified->difference;
    }
  }

  TempDir home_;
  sys::UniqueFd no_secrets_ = as_file("");
  const char* import_bytes_ = "64G";
  sys::Child store_;
  std::vector<std::pair<std::string, std::string>> environment_;  // of the store, beside ours
};

}  // namespace tare::snapshot::test
