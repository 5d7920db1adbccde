// All that a program inside a sandbox has and can reach, compared line by line with reviewed files:
// tests/golden/posture_*.txt. What is more, less or different fails; TARE_UPDATE_GOLDEN=1 writes
// them anew, and the difference is then reviewed like code.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "support/launcher.h"
#include "sys/files.h"
#include "sys/landlock.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;

std::string golden(const std::string& name) {
  return std::string(TARE_SOURCE_DIR) + "/tests/golden/" + name;
}

// Namespaces by what matters: is it the host's?
std::string own_or_host(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  std::string name;
  std::string inode;
  words >> word >> name >> inode;
  std::error_code error;
  const std::string host = fs::read_symlink("/proc/self/ns/" + name, error).string();
  return word + " " + name + (host == inode ? " HOST" : " own");
}

// What Tare leaves as it found it: the host's own, and another one on another host.
bool is_inherited(const std::string& line) {
  return line.starts_with("sessionid ");  // of the audit log: once set, for good
}

// What differs between two kernels and says nothing of the sandbox is left out.
std::string stable(const std::string& said) {
  std::istringstream lines(said);
  std::string line;
  std::string out;
  while (std::getline(lines, line)) {
    if (line.starts_with("namespace ")) line = own_or_host(line);
    if (line.starts_with("mount /proc/") && !line.starts_with("mount /proc/sys ")) continue;
    if (is_inherited(line)) continue;
    // Without it in the kernel there is no second wall; permissions hold alone.
    if (line == "landlock none" && sys::landlock_abi() == 0) line = "landlock 1";
    for (const char* point : {"mount /usr ", "mount /input "}) {  // of the host's own kind
      if (!line.starts_with(point)) continue;
      line = point + line.substr(line.find(' ', std::strlen(point)) + 1);
      if (line.ends_with(",idmapped")) line.resize(line.size() - 9);  // not on an overlay
    }
    out += line + "\n";
  }
  return out;
}

std::string posture_of(model::SandboxSpec spec) {
  TestLauncher launcher;
  spec.with_input = true;
  const std::string input = launcher.home() + "/runs/" + spec.id + "/input";
  fs::create_directories(input);
  fs::copy_file(std::string(TARE_BIN_DIR) + "/tare-posture", input + "/posture");
  ::chmod((input + "/posture").c_str(), 0755);
  const RunResult result = launcher.run(spec);
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::exited) << result.ended.outcome.message;
  EXPECT_EQ(result.err, "");
  return stable(result.out);
}

void expect_posture(const std::string& name, const model::SandboxSpec& spec) {
  const std::string text = posture_of(spec);
  if (std::getenv("TARE_UPDATE_GOLDEN") != nullptr) std::ofstream(golden(name)) << text;
  std::stringstream expected;
  expected << std::ifstream(golden(name)).rdbuf();
  EXPECT_EQ(text, expected.str()) << name;
}

TEST(Posture, an_agent_has_this_and_nothing_else) {
  expect_posture("posture_agent.txt", host_spec({"/input/posture"}));
}

TEST(Posture, root_inside_has_no_more_than_this) {
  model::SandboxSpec spec = host_spec({"/input/posture"});
  spec.uid = spec.gid = 0;
  expect_posture("posture_root.txt", spec);
}

TEST(Posture, the_strict_profile_has_less) {
  model::SandboxSpec spec = host_spec({"/input/posture"});
  spec.profile = model::Profile::strict;
  expect_posture("posture_strict.txt", spec);
}

// Of this process, and so of the launcher it starts. Soft ones: hard ones do not come back
// everywhere.
class OddLimits {
 public:
  OddLimits() {
    for (std::size_t i = 0; i < kOdd.size(); ++i) {
      const auto [resource, soft] = kOdd[i];
      EXPECT_EQ(::getrlimit(resource, &before_[i]), 0);
      const rlimit odd = {soft, before_[i].rlim_max};
      EXPECT_EQ(::setrlimit(resource, &odd), 0);
    }
    score("500");
  }
  ~OddLimits() {
    for (std::size_t i = 0; i < kOdd.size(); ++i) ::setrlimit(kOdd[i].first, &before_[i]);
    score("0");
  }

 private:
  static void score(const char* value) { std::ofstream("/proc/self/oom_score_adj") << value; }
  static constexpr std::array<std::pair<__rlimit_resource_t, rlim_t>, 5> kOdd = {
      {{RLIMIT_STACK, 1 << 20},
       {RLIMIT_NPROC, 10'000},
       {RLIMIT_CPU, 3'000},
       {RLIMIT_FSIZE, 1U << 30},
       {RLIMIT_AS, 1ULL << 40}}};
  std::array<rlimit, kOdd.size()> before_ = {};
};

TEST(Posture, it_is_the_same_whoever_started_the_launcher) {
  const OddLimits odd;
  expect_posture("posture_agent.txt", host_spec({"/input/posture"}));
}

}  // namespace
}  // namespace tare::testing
