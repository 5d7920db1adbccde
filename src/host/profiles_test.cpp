#include "host/profiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "model/profile.h"
#include "sandbox/plan/compile.h"
#include "sandbox/seccomp/profile.h"

namespace tare::host {
namespace {

bool has(const std::vector<std::string_view>& list, std::string_view name) {
  return std::ranges::find(list, name) != list.end();
}

TEST(ProfileDescriptions, name_every_call_of_the_tables_once) {
  for (const ProfileDescription& profile : describe_profiles()) {
    const auto rules = sandbox::rules_of(*model::profile_from(profile.name));
    for (const sandbox::SyscallRule& rule : rules) {
      const int times = (has(profile.allowed, rule.name) ? 1 : 0) +
                        (has(profile.conditional, rule.name) ? 1 : 0) +
                        (has(profile.refused, rule.name) ? 1 : 0) +
                        (has(profile.ignored, rule.name) ? 1 : 0);
      EXPECT_EQ(times, 1) << profile.name << " " << rule.name;
    }
    EXPECT_TRUE(has(profile.allowed, "read"));
    EXPECT_TRUE(has(profile.refused, "ptrace"));
    EXPECT_TRUE(has(profile.conditional, "clone"));
    EXPECT_TRUE(has(profile.ignored, "sync"));
  }
}

TEST(ProfileDescriptions, name_every_capability_and_every_socket_family) {
  for (const ProfileDescription& profile : describe_profiles()) {
    const auto mask = sandbox::capabilities_of(*model::profile_from(profile.name));
    EXPECT_EQ(profile.capabilities.size(), static_cast<std::size_t>(std::popcount(mask)));
  }
  EXPECT_EQ(describe(model::Profile::strict).sockets, std::vector<std::string_view>{"unix"});
  EXPECT_EQ(describe(model::Profile::standard).sockets.size(), 4U);
}

TEST(ProfileDescriptions, each_is_wider_than_the_one_before) {
  const auto profiles = describe_profiles();
  for (std::size_t i = 1; i < profiles.size(); ++i) {
    EXPECT_GE(profiles[i].allowed.size(), profiles[i - 1].allowed.size());
    EXPECT_GE(profiles[i].sockets.size(), profiles[i - 1].sockets.size());
  }
}

}  // namespace
}  // namespace tare::host
