// tare-launcher --doctor, the real program on this host: what it says, and that it leaves nothing
// behind, whoever is killed in the middle of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>

#include "base/json.h"
#include "doctor_steps.h"
#include "sandbox/cgroup/hierarchies.h"
#include "support/leaks.h"
#include "support/patience.h"
#include "sys/files.h"
#include "sys/fork.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
constexpr unsigned kNobody = 65'534;

std::string text_of(const fs::path& path) {
  return sys::read_file_at(sys::kCwd, path.string()).value_or("");
}

bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

// Processes of a doctor for this home, by their command line, with what each is at.
std::vector<std::string> doctors_of(const std::string& home) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!is_number(name)) continue;
    const std::string command = text_of(entry.path() / "cmdline");
    if (command.find("--doctor") == std::string::npos) continue;
    if (command.find(home) == std::string::npos) continue;
    const std::string stat = text_of(entry.path() / "stat");
    found.push_back("process " + stat.substr(0, stat.find(") ") + 3) + " in " +
                    text_of(entry.path() / "wchan"));
  }
  return found;
}

class Doctor : public ::testing::Test {
 protected:
  Doctor() {
    std::string path = "/tmp/tare-doctor-test-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp");
    home_ = path;
  }
  ~Doctor() override { fs::remove_all(home_); }

  // Follows it from before it begins.
  void start(std::optional<HeldCheck>& held) {
    start(0, [&](pid_t doctor) { held.emplace(doctor); });
  }
  void start(unsigned uid = 0, const std::function<void(pid_t)>& follow = {}) {
    auto pipe = sys::make_pipe();
    auto go = sys::make_pipe();
    auto child = sys::fork_child();
    if (!pipe || !go || !child) throw std::runtime_error("no pipe, or no child");
    if (!child->valid()) {
      go->write.reset();
      char byte = 0;
      if (::read(go->read.get(), &byte, 1) != 1) ::_exit(125);
      const std::string program = std::string(TARE_BIN_DIR) + "/tare-launcher";
      // Opened before the ids change: the build may lie where only root can go.
      const int opened = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
      ::dup2(pipe->write.get(), STDOUT_FILENO);
      if (uid != 0 && (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0)) {
        ::_exit(126);
      }
      const std::array<const char*, 8> argv = {"tare-launcher", "--doctor", "--json", "--home",
                                               home_.c_str(),   "--user",   "nobody", nullptr};
      ::fexecve(opened, const_cast<char* const*>(argv.data()), environ);
      ::_exit(127);
    }
    doctor_ = std::move(*child);
    if (follow) follow(doctor_.pid());
    if (!sys::write_all(go->write.get(), "g")) throw std::runtime_error("it ended too early");
    out_ = std::move(pipe->read);
    tag_ = "doctor-" + std::to_string(doctor_.pid());
  }

  // Its checks by name; exit status in status_.
  std::map<std::string, JsonObject> finish() {
    const std::string text = sys::read_all(out_.get(), 1 << 20).value_or("");
    auto status = doctor_.wait(nullptr);
    status_ = status && !status->signalled ? status->code : -1;
    std::map<std::string, JsonObject> checks;
    auto json = parse_json(text);
    if (!json) {
      ADD_FAILURE() << json.error().message << "\n" << text;
      return checks;
    }
    for (const Json& check : json->at("checks").as_array()) {
      checks[std::string(check.at("name").as_string())] = check.as_object();
    }
    return checks;
  }

  int keeper() const {
    const std::string pid = std::to_string(doctor_.pid());
    const std::string children = text_of("/proc/" + pid + "/task/" + pid + "/children");
    int found = 0;
    std::from_chars(children.data(), children.data() + children.size(), found);
    return found;
  }

  std::vector<std::string> residue() const {
    std::vector<std::string> found = leaks_of(home_);
    for (const std::string& process : doctors_of(home_)) found.push_back(process);
    for (const auto& hierarchy : sandbox::parse_hierarchies(text_of("/proc/self/mountinfo"))) {
      const fs::path folder = fs::path(hierarchy.path) / ("tare-" + tag_);
      if (fs::exists(folder)) found.push_back(folder);
    }
    for (const auto& entry : fs::directory_iterator(home_)) found.push_back(entry.path());
    return found;
  }

  // What has been killed may take a moment to be gone, and the keeper to clean up after it.
  std::string left_behind() const {
    std::vector<std::string> found = residue();
    for (int i = 0; i < patience_ms(60'000) / 20 && !found.empty(); ++i) {
      ::usleep(20'000);
      found = residue();
    }
    std::string text;
    for (const std::string& one : found) text += one + "\n";
    return text;
  }

  std::string home_, tag_;
  sys::Child doctor_;
  sys::UniqueFd out_;
  int status_ = -1;
};

TEST_F(Doctor, every_check_has_all_its_fields) {
  start();
  const auto checks = finish();
  EXPECT_GE(checks.size(), 25U);
  for (const auto& [name, check] : checks) {
    EXPECT_EQ(check.size(), 6U) << name;
    EXPECT_TRUE(check.at("ok").is_bool() && check.at("warning").is_bool()) << name;
    for (const char* text : {"name", "detail"}) {
      EXPECT_FALSE(check.at(text).as_string().empty()) << name << " " << text;
    }
    const bool works = check.at("ok").as_bool() && !check.at("warning").as_bool();
    for (const char* text : {"consequence", "fix"}) {
      EXPECT_EQ(check.at(text).as_string().empty(), works) << name << " " << text;
    }
  }
}

// The other kernel tests stand on all of these, so they hold wherever this test is run.
TEST_F(Doctor, all_that_sandboxes_stand_on_works_here_and_nothing_is_left) {
  start();
  const auto checks = finish();
  for (const char* name : {"kernel",
                           "root",
                           "capabilities",
                           "uid range",
                           "pidfd",
                           "sealed memory",
                           "home folder",
                           "user namespace",
                           "mount namespace",
                           "proc in a user namespace",
                           "idmapped mount",
                           "writable overlay",
                           "disk cap in memory",
                           "loop devices",
                           "disk cap in an image",
                           "network namespace",
                           "seccomp",
                           "refusals told",
                           "cgroups",
                           "quick cgroup moves",
                           "limits",
                           "memory limit",
                           "process limit",
                           "cpu limit",
                           "kill",
                           "system user"}) {
    ASSERT_TRUE(checks.contains(name)) << name;
    EXPECT_TRUE(checks.at(name).at("ok").as_bool()) << to_text(checks.at(name));
  }
  const bool all = std::ranges::all_of(
      checks, [](const auto& check) { return check.second.at("ok").as_bool(); });
  EXPECT_EQ(status_, all ? 0 : 1);
  for (const std::string& left : residue()) ADD_FAILURE() << "left behind: " << left;
}

TEST_F(Doctor, without_root_it_says_what_is_missing_and_what_follows) {
  start(kNobody);
  const auto checks = finish();
  EXPECT_EQ(status_, 1);
  for (const char* name : {"root", "capabilities", "mount namespace", "cgroups", "kill"}) {
    ASSERT_TRUE(checks.contains(name)) << name;
    EXPECT_FALSE(checks.at(name).at("ok").as_bool()) << name;
  }
  EXPECT_TRUE(checks.at("kernel").at("ok").as_bool());
  for (const std::string& left : residue()) ADD_FAILURE() << "left behind: " << left;
}

// One for each kind of thing that a check makes: nothing, processes, namespaces, mounts, a loop
// device, cgroups with processes in them.
constexpr Place kPlaces[] = {
    {"kernel"},
    {"pidfd", SYS_pidfd_send_signal, true},
    {"sealed memory", SYS_poll},
    {"user namespace", SYS_poll, true},
    {"writable overlay", SYS_poll},
    {"disk cap in an image", SYS_rename},    // of a template that is made
    {"disk cap in an image", SYS_fchownat},  // in an image that is mounted
    {"network namespace", SYS_poll},
    {"quick cgroup moves", SYS_pidfd_send_signal, true, false},
    {"limits", SYS_unlinkat},
    {"memory limit", SYS_poll},
    {"process limit", SYS_poll, true},
    {"cpu limit", SYS_poll, true},
    {"cpu limit", SYS_poll},
    {"kill", SYS_poll},
    {"kill", SYS_unlinkat},
    {"mmdebstrap"},
};

bool is_on_this_host(const Place& place) {
  const auto all = sandbox::parse_hierarchies(text_of("/proc/self/mountinfo"));
  return place.on_v2 || !std::ranges::all_of(all, &sandbox::Hierarchy::unified);
}

TEST_F(Doctor, sigkill_at_any_moment_leaves_nothing) {
  for (const Place& place : kPlaces) {
    if (!is_on_this_host(place)) continue;
    SCOPED_TRACE(place.text());
    std::optional<HeldCheck> held;
    start(held);
    held->hold(place);
    ASSERT_TRUE(doctor_.signal(SIGKILL));
    ASSERT_TRUE(doctor_.wait(nullptr));
    held->wait_for_death();
    ASSERT_EQ(left_behind(), "");
  }
}

TEST_F(Doctor, sigkill_of_the_process_that_cleans_up_leaves_nothing_either) {
  for (const Place& place : kPlaces) {
    if (!is_on_this_host(place)) continue;
    SCOPED_TRACE(place.text());
    std::optional<HeldCheck> held;
    start(held);
    held->hold(place);
    ASSERT_EQ(::kill(held->keeper(), SIGKILL), 0);
    held->wait_for_death();
    auto status = doctor_.wait(nullptr);
    ASSERT_TRUE(status && !status->signalled);
    EXPECT_EQ(status->code, 2);
    ASSERT_EQ(left_behind(), "");
  }
}

TEST_F(Doctor, what_is_left_when_all_are_killed_at_once_is_swept_by_the_next) {
  start();
  for (int i = 0; i < patience_ms(60'000) && fs::is_empty(home_); ++i) ::usleep(1'000);
  ASSERT_FALSE(fs::is_empty(home_));
  ASSERT_TRUE(doctor_.signal(SIGSTOP));
  const int pid = keeper();
  ASSERT_GT(pid, 1);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_TRUE(doctor_.signal(SIGKILL));
  ASSERT_TRUE(doctor_.wait(nullptr));
  ASSERT_FALSE(residue().empty());
  start();
  EXPECT_FALSE(finish().empty());
  EXPECT_EQ(left_behind(), "");
}

// A process of a dead doctor that lives on, and stands still besides: it is killed in every
// hierarchy before the first folder is taken away, which cannot be done while it is there.
TEST_F(Doctor, what_lives_on_in_the_cgroups_of_a_dead_one_is_killed_and_swept_by_the_next) {
  start();
  (void)finish();
  std::vector<fs::path> folders;
  auto lives_on = sys::fork_child();
  ASSERT_TRUE(lives_on);
  if (!lives_on->valid()) {
    for (;;) ::pause();
  }
  const std::string pid = std::to_string(lives_on->pid());
  for (const auto& hierarchy : sandbox::parse_hierarchies(text_of("/proc/self/mountinfo"))) {
    if (hierarchy.has("cpuset")) continue;  // takes nobody before it is set up
    folders.push_back(fs::path(hierarchy.path) / ("tare-" + tag_));
    const std::string inner = folders.back() / "moves";
    fs::create_directories(inner);
    ASSERT_TRUE(sys::write_control(sys::kCwd, inner + "/cgroup.procs", pid)) << inner;
    if (!hierarchy.has("freezer")) continue;
    ASSERT_TRUE(sys::write_control(sys::kCwd, inner + "/freezer.state", "FROZEN"));
  }
  ASSERT_FALSE(folders.empty());
  start();
  EXPECT_FALSE(finish().empty());
  for (const fs::path& folder : folders) {
    EXPECT_FALSE(fs::exists(folder)) << folder;
    (void)sys::write_control(sys::kCwd, folder.string() + "/moves/freezer.state", "THAWED");
  }
  auto status = lives_on->wait(nullptr);
  EXPECT_TRUE(status && status->signalled);
}

}  // namespace
}  // namespace tare::testing
