#include "sandbox/cgroup/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "sandbox/cgroup/hierarchies.h"
#include "sandbox/cgroup/settings.h"
#include "sys/files.h"

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
  EXPECT_THAT(
      cgroup_settings(limits(), CgroupVersion::v2),
      ::testing::ElementsAre(CgroupSetting{"memory", "memory.max", "67108864", Presence::always},
                             CgroupSetting{"memory", "memory.swap.max", "0", Presence::with_swap},
                             CgroupSetting{"memory", "memory.oom.group", "1", Presence::always},
                             CgroupSetting{"pids", "pids.max", "11", Presence::always},
                             CgroupSetting{"cpu", "cpu.max", "150000 100000", Presence::always}));
  EXPECT_THAT(
      cgroup_settings(limits(), CgroupVersion::v1),
      ::testing::ElementsAre(
          CgroupSetting{"memory", "memory.limit_in_bytes", "67108864", Presence::always},
          CgroupSetting{"memory", "memory.memsw.limit_in_bytes", "67108864", Presence::with_swap},
          CgroupSetting{"memory", "memory.swappiness", "0", Presence::implied},
          CgroupSetting{"pids", "pids.max", "11", Presence::always},
          CgroupSetting{"cpu", "cpu.cfs_period_us", "100000", Presence::always},
          CgroupSetting{"cpu", "cpu.cfs_quota_us", "150000", Presence::always}));
}

TEST(Settings, the_smallest_cpu_share_is_one_that_the_kernel_takes) {
  model::Limits l = limits();
  l.cpu_millis = 1;
  EXPECT_EQ(cgroup_settings(l, CgroupVersion::v2).back().value, "1000 100000");
}

// ---- One sandbox's cgroup on a fixture tree: ordinary folders with the files that the kernel
// makes

namespace fs = std::filesystem;

class CgroupFixture {
 public:
  explicit CgroupFixture(CgroupVersion version) : version_(version) {
    std::string path = "/tmp/tare-cgroup-XXXXXX";
    root_ = ::mkdtemp(path.data());
    if (version == CgroupVersion::v2) {
      add({root_ / "unified", true, {"memory", "pids", "cpu"}});
    } else {
      for (const char* controller : {"memory", "pids", "cpu"})
        add({root_ / controller, false, {controller}});
    }
  }
  ~CgroupFixture() { fs::remove_all(root_); }

  // Where the file of a limit is.
  fs::path file(const CgroupSetting& setting) const {
    const bool v2 = version_ == CgroupVersion::v2;
    return root_ / (v2 ? "unified" : setting.controller) / "tare-abc/s0-1" / setting.file;
  }
  std::string text(const CgroupSetting& setting) const {
    return sys::read_file_at(sys::kCwd, file(setting).string()).value_or("unreadable");
  }
  // The message of what was refused; "" when all is armed.
  std::string refusal(std::string_view swaps = "Filename\n") const {
    std::ofstream(root_ / "swaps") << swaps;
    const auto opened = CgroupRoot::open(hierarchies_, "abc", root_ / "swaps");
    if (!opened) return "no root: " + opened.error().message;
    auto made = Cgroup::create(*opened, "s0-1", limits());
    if (!made) return made.error().message;
    (void)std::move(*made).release();  // a plain folder with files cannot be removed as a cgroup is
    return "";
  }

 private:
  void add(const Hierarchy& hierarchy) {
    hierarchies_.push_back(hierarchy);
    const fs::path own = fs::path(hierarchy.path) / "tare-abc/s0-1";
    fs::create_directories(own);
    for (const fs::path& folder : {own.parent_path().parent_path(), own.parent_path(), own}) {
      for (const char* name : {"cgroup.procs", "cgroup.subtree_control", "cgroup.kill",
                               "memory.events", "memory.oom_control", "cgroup.event_control"})
        std::ofstream(folder / name) << "";
    }
    for (const CgroupSetting& setting : cgroup_settings(limits(), version_)) {
      if (hierarchy.has(setting.controller)) std::ofstream(own / setting.file) << "";
    }
  }

  CgroupVersion version_;
  fs::path root_;
  std::vector<Hierarchy> hierarchies_;
};

TEST(Cgroup, each_limit_is_written_to_its_file) {
  for (const CgroupVersion version : {CgroupVersion::v1, CgroupVersion::v2}) {
    const CgroupFixture fixture(version);
    EXPECT_EQ(fixture.refusal(), "");
    for (const CgroupSetting& setting : cgroup_settings(limits(), version))
      EXPECT_EQ(fixture.text(setting), setting.value) << setting.file;
  }
}

TEST(Cgroup, a_limit_whose_file_is_not_there_is_refused_by_name_unless_another_implies_it) {
  for (const CgroupVersion version : {CgroupVersion::v1, CgroupVersion::v2}) {
    for (const CgroupSetting& setting : cgroup_settings(limits(), version)) {
      const CgroupFixture fixture(version);
      fs::remove(fixture.file(setting));
      const std::string named = "cannot arm the limit " + std::string(setting.controller);
      if (setting.need == Presence::always) {
        EXPECT_THAT(fixture.refusal(), ::testing::StartsWith(named)) << setting.file;
      } else {
        EXPECT_EQ(fixture.refusal(), "") << setting.file;
      }
    }
  }
}

TEST(Cgroup, where_the_host_swaps_a_limit_on_swap_that_is_not_there_is_refused) {
  constexpr std::string_view kSwaps = "Filename\tType\n/swapfile file\t1048572\t0\t-2\n";
  for (const CgroupVersion version : {CgroupVersion::v1, CgroupVersion::v2}) {
    int limits_of_swap = 0;
    for (const CgroupSetting& setting : cgroup_settings(limits(), version)) {
      const CgroupFixture fixture(version);
      EXPECT_EQ(fixture.refusal(kSwaps), "");
      fs::remove(fixture.file(setting));
      if (setting.need != Presence::with_swap) continue;
      EXPECT_THAT(fixture.refusal(kSwaps), ::testing::HasSubstr("swapoff")) << setting.file;
      ++limits_of_swap;
    }
    EXPECT_EQ(limits_of_swap, 1);
  }
}

TEST(Cgroup, a_limit_that_is_there_and_cannot_be_written_is_refused_by_name) {
  for (const CgroupVersion version : {CgroupVersion::v1, CgroupVersion::v2}) {
    for (const CgroupSetting& setting : cgroup_settings(limits(), version)) {
      const CgroupFixture fixture(version);
      fs::remove(fixture.file(setting));
      fs::create_directory(fixture.file(setting));
      EXPECT_THAT(fixture.refusal(),
                  ::testing::StartsWith("cannot arm the limit " + std::string(setting.controller)))
          << setting.file;
    }
  }
}

}  // namespace
}  // namespace tare::sandbox
