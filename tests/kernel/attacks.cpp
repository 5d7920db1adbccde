#include "attacks.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace tare::testing {

namespace fs = std::filesystem;

model::SandboxSpec attack_spec(TestLauncher& launcher, std::vector<std::string> words, As as) {
  words.insert(words.begin(), "/input/attack");
  model::SandboxSpec spec = host_spec(std::move(words));
  spec.uid = spec.gid = as.uid;
  spec.profile = as.profile;
  spec.with_input = true;
  const fs::path input = fs::path(launcher.home()) / "runs" / spec.id / "input";
  fs::create_directories(input);
  fs::copy_file(std::string(TARE_BIN_DIR) + "/tare-attack", input / "attack");
  ::chmod((input / "attack").c_str(), 0755);
  return spec;
}

std::vector<Attack> attacks_of(TestLauncher& launcher, const std::string& group, As as) {
  const RunResult result = launcher.run(attack_spec(launcher, {group}, as));
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::exited) << result.ended.outcome.message;
  EXPECT_EQ(result.ended.outcome.exit_code, 0);
  std::vector<Attack> attacks;
  std::istringstream lines(result.out);
  std::string line;
  std::string last;
  for (; std::getline(lines, line); last = line) {
    const std::size_t colon = line.rfind(": ");
    if (colon != std::string::npos)
      attacks.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  EXPECT_EQ(last, "tried " + std::to_string(attacks.size())) << group << " as " << as.name;
  EXPECT_FALSE(attacks.empty());
  return attacks;
}

std::size_t expect_refused(const std::vector<Attack>& attacks, As as,
                           const std::vector<std::string>& answers) {
  static const std::vector<std::string> usual = {"EPERM", "EACCES", "ENOSYS", "EROFS", "ENOENT"};
  for (const Attack& attack : attacks) {
    const bool refused = std::ranges::count(usual, attack.answer) > 0 ||
                         std::ranges::count(answers, attack.answer) > 0 ||
                         attack.answer.starts_with("HARMLESS");
    EXPECT_TRUE(refused) << attack.name << ": " << attack.answer << " as " << as.name;
  }
  return attacks.size();
}

void expect_refused(const std::string& group, const std::vector<As>& all,
                    const std::vector<std::string>& answers) {
  TestLauncher launcher;
  for (const As as : all) (void)expect_refused(attacks_of(launcher, group, as), as, answers);
  EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
}

}  // namespace tare::testing
