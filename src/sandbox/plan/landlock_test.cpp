#include "sandbox/plan/landlock.h"

#include <linux/landlock.h>

#include <map>

namespace tare::sandbox {
namespace {

constexpr std::uint64_t kTruncate = 1 << 14;
constexpr std::uint64_t kIoctl = 1 << 15;
constexpr std::uint64_t kDevices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

std::map<std::string, std::uint64_t> trees(const std::vector<Step>& steps) {
  std::map<std::string, std::uint64_t> rights;
  for (const Step& step : steps) {
    if (step.op == Op::confine_beneath) rights[step.a] = step.n;
  }
  return rights;
}

BaseKind root() {
  BaseKind kind;
  kind.uid = kind.gid = 0;
  return kind;
}

TEST(LandlockSteps, without_landlock_or_with_its_first_version_there_are_none) {
  for (const int abi : {-1, 0, 1}) EXPECT_TRUE(landlock_steps(BaseKind{}, abi).empty()) << abi;
}

TEST(LandlockSteps, begin_with_the_rights_and_end_with_holding_them) {
  for (int abi = 2; abi <= 9; ++abi) {
    for (const BaseKind& kind : {BaseKind{}, root()}) {
      const auto steps = landlock_steps(kind, abi);
      ASSERT_GE(steps.size(), 3U);
      EXPECT_EQ(steps.front().op, Op::confine);
      EXPECT_EQ(steps.back().op, Op::confined);
      for (const auto& [path, rights] : trees(steps)) {
        EXPECT_NE(rights, 0U) << path;                     // the kernel refuses an empty one,
        EXPECT_EQ(rights & ~steps.front().n, 0U) << path;  // and what is not handled
      }
    }
  }
}

TEST(LandlockSteps, each_version_adds_what_it_knows_and_nothing_that_it_does_not) {
  const auto handled = [](int abi) { return landlock_steps(BaseKind{}, abi).front().n; };
  EXPECT_EQ(handled(2) & (kTruncate | kIoctl), 0U);
  EXPECT_NE(handled(2) & LANDLOCK_ACCESS_FS_REFER, 0U);
  EXPECT_EQ(handled(3), handled(2) | kTruncate);
  EXPECT_EQ(handled(4), handled(3));
  EXPECT_EQ(handled(5), handled(4) | kIoctl);
  EXPECT_EQ(handled(6), handled(5));
  EXPECT_EQ(handled(100), handled(6));
  EXPECT_EQ(handled(6) & (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE), 0U);
}

TEST(LandlockSteps, an_agent_has_its_own_folders_and_root_its_copy_of_everything) {
  const auto agent = trees(landlock_steps(BaseKind{}, 6));
  EXPECT_FALSE(agent.contains("/"));
  for (const char* own : {"/home/agent", "/output", "/tmp", "/var/tmp", "/dev/shm"}) {
    ASSERT_TRUE(agent.contains(own)) << own;
    EXPECT_NE(agent.at(own) & LANDLOCK_ACCESS_FS_MAKE_REG, 0U) << own;
    EXPECT_EQ(agent.at(own) & (kDevices | kIoctl), 0U) << own;
  }
  EXPECT_EQ(agent.at("/dev"), LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctl);
  EXPECT_EQ(agent.at("/proc"), LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate);
  const auto all = trees(landlock_steps(root(), 6));
  EXPECT_NE(all.at("/") & LANDLOCK_ACCESS_FS_MAKE_REG, 0U);
  EXPECT_EQ(all.at("/") & (kDevices | kIoctl), 0U);
}

TEST(LandlockSteps, an_images_user_is_walled_in_as_the_agent_is) {
  for (const auto& [uid, gid] : {std::pair{1U, 0U}, {999U, 999U}, {65'532U, 65'532U}}) {
    BaseKind kind;
    kind.uid = uid;
    kind.gid = gid;
    EXPECT_EQ(landlock_steps(kind, 6), landlock_steps(BaseKind{}, 6)) << uid;
  }
}

TEST(LandlockSteps, only_a_build_shares_abstract_sockets_with_others_and_is_scoped) {
  BaseKind build = root();
  build.network = model::Network::host;
  EXPECT_EQ(landlock_steps(build, 6).front().m, 1U);
  EXPECT_EQ(landlock_steps(build, 5).front().m, 0U);
  EXPECT_EQ(landlock_steps(root(), 6).front().m, 0U);
}

}  // namespace
}  // namespace tare::sandbox
