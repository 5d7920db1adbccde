// On fixture trees: ordinary folders with the files that cgroup2 has. Needs no cgroups at all.
#include "sandbox/cgroup/place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sandbox/cgroup/cgroup.h"
#include "sys/files.h"

namespace tare::sandbox {
namespace {

namespace fs = std::filesystem;

TEST(OwnCgroup, is_the_line_of_the_unified_hierarchy) {
  EXPECT_EQ(parse_own_cgroup("0::/\n"), "/");
  EXPECT_EQ(parse_own_cgroup("5:pids:/x\n1:name=systemd:/y\n0::/user.slice/a.scope\n"),
            "/user.slice/a.scope");
}

TEST(OwnCgroup, that_is_gone_outside_or_not_there_is_none) {
  for (const char* text : {"", "\n", "5:pids:/x\n", "0::/../b\n", "0::/a (deleted)\n", "0::", "0"})
    EXPECT_EQ(parse_own_cgroup(text), std::nullopt) << text;
}

TEST(Delegable, are_cgroups_of_v2_alone_and_a_refusal_names_the_limits_and_the_fix) {
  const Hierarchy unified = {"/sys/fs/cgroup", true, {}};
  EXPECT_TRUE(check_delegable({unified}));
  const auto refused = check_delegable({{"/sys/fs/cgroup/pids", false, {"pids"}}, unified});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::denied);
  EXPECT_THAT(refused.error().message,
              ::testing::AllOf(::testing::HasSubstr("memory, pids, cpu"),
                               ::testing::HasSubstr("systemd.unified_cgroup_hierarchy=1")));
}

class PlaceTest : public ::testing::Test {
 protected:
  // The folder is on the file system of the sources: /tmp may be a tmpfs, which has no user.* marks
  // before 6.6.
  PlaceTest() {
    std::string path = "/var/tmp/tare-place-XXXXXX";
    root_ = ::mkdtemp(path.data());
    make("");
    fs::remove(root_ / "cgroup.type");  // the root of a hierarchy has none
  }
  ~PlaceTest() override { fs::remove_all(root_); }

  void make(const std::string& name, const std::string& processes = "") {
    fs::create_directories(root_ / name);
    write(name + "/cgroup.controllers", "cpuset cpu io memory pids\n");
    write(name + "/cgroup.type", "domain\n");
    write(name + "/cgroup.subtree_control", "");
    write(name + "/cgroup.procs", processes);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(root_ / ("./" + name)) << text;
  }
  std::string text(const std::string& name) const {
    return sys::read_file_at(sys::kCwd, (root_ / name).string()).value_or("unreadable");
  }
  bool mark(const std::string& name) const {
    return ::setxattr((root_ / name).c_str(), "user.delegate", "1", 1, 0) == 0;
  }
  Result<std::string> find(const std::string& own, std::optional<uid_t> person) const {
    return find_place({root_.string(), own, person});
  }

  fs::path root_;
};

TEST_F(PlaceTest, of_root_is_the_hierarchy_itself_where_nothing_was_handed_over) {
  make("system.slice/tare.service");
  EXPECT_EQ(find("/system.slice/tare.service", std::nullopt).value(), root_.string());
  EXPECT_EQ(find("/", std::nullopt).value(), root_.string());
}

TEST_F(PlaceTest, is_the_nearest_folder_that_is_marked) {
  make("user.slice/user@7.service/app.slice/run.scope/inner");
  if (!mark("user.slice/user@7.service")) GTEST_SKIP() << "no user.* attributes here";
  const std::string service = root_.string() + "/user.slice/user@7.service";
  EXPECT_EQ(find("/user.slice/user@7.service/app.slice/run.scope", std::nullopt).value(), service);
  ASSERT_TRUE(mark("user.slice/user@7.service/app.slice/run.scope"));
  EXPECT_EQ(find("/user.slice/user@7.service/app.slice/run.scope/inner", std::nullopt).value(),
            service + "/app.slice/run.scope");
}

TEST_F(PlaceTest, of_an_ordinary_user_is_the_topmost_that_is_theirs) {
  make("user.slice/mine/inner");
  make("user.slice");
  make("user.slice/mine");
  const uid_t me = ::geteuid();
  EXPECT_EQ(find("/user.slice/mine/inner", me).value(), root_.string());  // all of it is ours here
  if (me != 0) GTEST_SKIP() << "only root can give folders away";
  constexpr uid_t kPerson = 12'345;
  for (const char* name : {"user.slice/mine", "user.slice/mine/inner"}) {
    for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control"})
      ASSERT_EQ(::chown((root_ / name).string().append(file).c_str(), kPerson, kPerson), 0);
  }
  EXPECT_EQ(find("/user.slice/mine/inner", kPerson).value(), root_.string() + "/user.slice/mine");
}

TEST_F(PlaceTest, where_nothing_is_theirs_the_limits_and_the_fix_are_named) {
  make("user.slice/session-1.scope");
  const auto found = find("/user.slice/session-1.scope", 12'345);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::denied);
  EXPECT_THAT(found.error().message,
              ::testing::AllOf(::testing::HasSubstr("/user.slice/session-1.scope"),
                               ::testing::HasSubstr("memory, pids, cpu"),
                               ::testing::HasSubstr("systemd-run --user --scope -p Delegate=yes")));
}

TEST_F(PlaceTest, our_own_leaf_is_no_place) {
  make("mine/tare-host");
  make("mine");
  if (!mark("mine") || !mark("mine/tare-host")) GTEST_SKIP() << "no user.* attributes here";
  EXPECT_EQ(find("/mine/tare-host", std::nullopt).value(), root_.string() + "/mine");
}

TEST_F(PlaceTest, that_nobody_is_in_and_the_root_of_a_hierarchy_are_left_as_they_are) {
  make("mine");
  EXPECT_TRUE(vacate((root_ / "mine").string()));
  EXPECT_FALSE(fs::exists(root_ / "mine/tare-host"));
  write("cgroup.procs", "1\n2\n");
  EXPECT_TRUE(vacate(root_.string()));
  EXPECT_FALSE(fs::exists(root_ / "tare-host"));
}

TEST_F(PlaceTest, its_processes_are_moved_to_a_child_and_if_they_stay_that_is_told) {
  make("mine", "11\n22\n");
  make("mine/tare-host");
  const auto moved = vacate((root_ / "mine").string());  // a plain file forgets nobody
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Errc::conflict);
  EXPECT_EQ(text("mine/tare-host/cgroup.procs"), "22");  // each by a write of its own
}

TEST_F(PlaceTest, controllers_are_handed_down_to_the_place_and_to_our_folder_in_it) {
  make("mine");
  make("mine/tare-abc");
  Hierarchy unified = {(root_ / "mine").string(), true, {}};
  ASSERT_TRUE(read_controllers(unified));
  EXPECT_THAT(unified.controllers, ::testing::Contains("memory"));
  const auto opened = CgroupRoot::open({unified}, "abc");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->mode(), "v2");
  // A plain file keeps what each write left of the one before: +memory, +pids, +cpu.
  for (const char* folder : {"mine", "mine/tare-abc"})
    EXPECT_EQ(text(std::string(folder) + "/cgroup.subtree_control"), "+cpusry") << folder;
}

TEST_F(PlaceTest, a_controller_that_cannot_be_handed_down_is_named) {
  make("mine");
  fs::remove(root_ / "mine/cgroup.subtree_control");
  const auto opened = CgroupRoot::open({{(root_ / "mine").string(), true, {"memory", "pids"}}},
                                       "abc");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, ::testing::AllOf(::testing::HasSubstr("controller memory"),
                                                       ::testing::HasSubstr("Delegate=yes")));
}

// What a sandbox has used and met, from a tree of files as each kind of hierarchy has them.
class UsageTest : public PlaceTest {
 protected:
  model::Usage usage_in(const std::vector<Hierarchy>& hierarchies) const {
    const auto root = CgroupRoot::open(hierarchies, "abc");
    EXPECT_TRUE(root) << root.error().message;
    model::Usage usage;
    Cgroup::adopt(*root, "s0-1", {}).read_usage(usage);
    return usage;
  }
  static model::Usage wanted() {
    model::Usage usage;
    usage.cpu_us = 1234;
    usage.cpu_throttled_us = 77;
    usage.memory_peak_bytes = 65'536;
    usage.processes_refused = 311;
    return usage;
  }
};

TEST_F(UsageTest, is_read_from_cgroup_v2) {
  make("tare-abc");
  make("tare-abc/s0-1");
  write("tare-abc/s0-1/cpu.stat", "usage_usec 1234\nuser_usec 1\nthrottled_usec 77\n");
  write("tare-abc/s0-1/memory.peak", "65536\n");
  write("tare-abc/s0-1/pids.events", "max 311\n");
  EXPECT_EQ(usage_in({{root_.string(), true, {"memory", "pids", "cpu", "cpuacct"}}}), wanted());
}

TEST_F(UsageTest, is_read_from_cgroup_v1) {
  std::vector<Hierarchy> hierarchies;
  for (const char* controller : {"memory", "pids", "cpu", "cpuacct"}) {
    make(controller + std::string("/tare-abc/s0-1"));
    make(controller + std::string("/tare-abc"));
    hierarchies.push_back({(root_ / controller).string(), false, {controller}});
  }
  write("cpuacct/tare-abc/s0-1/cpuacct.usage", "1234000\n");
  write("cpu/tare-abc/s0-1/cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 77000\n");
  write("memory/tare-abc/s0-1/memory.max_usage_in_bytes", "65536\n");
  write("pids/tare-abc/s0-1/pids.events", "max 311\n");
  EXPECT_EQ(usage_in(hierarchies), wanted());
}

}  // namespace
}  // namespace tare::sandbox
