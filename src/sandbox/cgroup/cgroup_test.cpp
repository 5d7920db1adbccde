#include "sandbox/cgroup/hierarchies.h"
#include "sandbox/cgroup/settings.h"

namespace tare::sandbox {
namespace {

constexpr std::string_view kHybrid =
    "30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "31 24 0:27 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
    "33 24 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "35 24 0:31 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "37 24 0:33 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "38 24 0:34 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
    "39 24 0:35 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
constexpr std::string_view kCoMounted =
    "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 24 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "35 24 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
    "37 24 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
constexpr std::string_view
    kV2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

std::vector<std::string> paths(const std::vector<Hierarchy>& hierarchies) {
  std::vector<std::string> found;
  for (const Hierarchy& h : hierarchies) found.push_back(h.path);
  return found;
}

TEST(Hierarchies, a_hybrid_host_limits_by_v1_and_kills_by_v2) {
  const auto needed = needed_hierarchies(parse_hierarchies(kHybrid));
  ASSERT_TRUE(needed) << needed.error().message;
  EXPECT_THAT(paths(*needed), ::testing::ElementsAre("/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids",
                                                     "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct",
                                                     "/sys/fs/cgroup/unified"));
}

TEST(Hierarchies, controllers_that_are_mounted_together_are_one_hierarchy) {
  const auto needed = needed_hierarchies(parse_hierarchies(kCoMounted));
  ASSERT_TRUE(needed) << needed.error().message;
  EXPECT_THAT(paths(*needed),
              ::testing::ElementsAre("/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids",
                                     "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/freezer"));
}

TEST(Hierarchies, a_v2_host_has_one) {
  auto mounted = parse_hierarchies(kV2);
  ASSERT_EQ(mounted.size(), 1U);
  EXPECT_FALSE(needed_hierarchies(mounted));  // as long as nobody has said what it controls
  mounted[0].controllers = {"cpuset", "cpu", "io", "memory", "pids"};
  const auto needed = needed_hierarchies(mounted);
  ASSERT_TRUE(needed) << needed.error().message;
  EXPECT_THAT(paths(*needed), ::testing::ElementsAre("/sys/fs/cgroup"));
}

TEST(Hierarchies, a_missing_controller_is_named) {
  std::string without(kHybrid);
  without.replace(without.find("rw,pids"), 7, "rw,rdma");
  const auto needed = needed_hierarchies(parse_hierarchies(without));
  ASSERT_FALSE(needed);
  EXPECT_EQ(needed.error().code, Errc::unavailable);
  EXPECT_THAT(needed.error().message, ::testing::HasSubstr("'pids'"));
}

TEST(Hierarchies, bind_mounts_of_a_part_and_broken_lines_are_passed_over) {
  EXPECT_TRUE(
      parse_hierarchies("33 24 0:29 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
          .empty());
  EXPECT_TRUE(parse_hierarchies("").empty());
  EXPECT_TRUE(parse_hierarchies("a b c - \n - cgroup\n33 24 0:29 / /x").empty());
}

model::Limits limits() {
  model::Limits l;
  l.memory_bytes = 64 << 20;
  l.cpu_millis = 1500;
  l.pids = 10;
  return l;
}

TEST(Settings, the_same_limits_are_armed_on_v1_and_on_v2) {
  EXPECT_THAT(cgroup_settings(limits(), CgroupVersion::v2),
              ::testing::ElementsAre(CgroupSetting{"memory", "memory.max", "67108864", true},
                                     CgroupSetting{"memory", "memory.swap.max", "0", false},
                                     CgroupSetting{"memory", "memory.oom.group", "1", true},
                                     CgroupSetting{"pids", "pids.max", "11", true},
                                     CgroupSetting{"cpu", "cpu.max", "150000 100000", true}));
  EXPECT_THAT(cgroup_settings(limits(), CgroupVersion::v1),
              ::testing::ElementsAre(
                  CgroupSetting{"memory", "memory.limit_in_bytes", "67108864", true},
                  CgroupSetting{"memory", "memory.memsw.limit_in_bytes", "67108864", false},
                  CgroupSetting{"memory", "memory.swappiness", "0", false},
                  CgroupSetting{"pids", "pids.max", "11", true},
                  CgroupSetting{"cpu", "cpu.cfs_period_us", "100000", true},
                  CgroupSetting{"cpu", "cpu.cfs_quota_us", "150000", true}));
}

TEST(Settings, the_smallest_cpu_share_is_one_that_the_kernel_takes) {
  model::Limits l = limits();
  l.cpu_millis = 1;
  EXPECT_EQ(cgroup_settings(l, CgroupVersion::v2).back().value, "1000 100000");
}

}  // namespace
}  // namespace tare::sandbox
