#include "host/host_programs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "host/runner_swap.h"

namespace tare::host {
namespace {

namespace fs = std::filesystem;

class HostPrograms : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::canonical(fs::temp_directory_path()) / "tare-programs-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    fs::create_directories(root_ + "/usr/bin");
    fs::create_directories(root_ + "/usr/local/bin");
    fs::create_directories(root_ + "/var/lib/dpkg");
    make("/usr/bin/python3.11");
    fs::create_symlink("python3.11", root_ + "/usr/bin/python3");
  }
  void TearDown() override { fs::remove_all(root_); }
  void make(const std::string& path, const std::string& text = "one", mode_t mode = 0755) const {
    std::ofstream(root_ + path) << text;
    ASSERT_EQ(::chmod((root_ + path).c_str(), mode), 0);
  }
  std::optional<std::string> look(const std::vector<std::string>& names,
                                  std::string_view path = "/usr/local/bin:/usr/bin") const {
    return host_programs(names, path, root_);
  }
  std::string root_;
};

TEST_F(HostPrograms, nothing_changed_is_the_same_text) {
  const auto before = look({"python3"});
  ASSERT_TRUE(before);
  EXPECT_EQ(look({"python3"}), before);
  EXPECT_EQ(look({}), look({}));
}

TEST_F(HostPrograms, what_a_symlink_leads_to_counts) {
  const auto before = look({"python3"});
  make("/usr/bin/python3.11", "two");  // as long as before
  EXPECT_NE(look({"python3"}), before);
}

// The time of a change of its inode cannot be set back.
TEST_F(HostPrograms, an_old_time_that_was_set_hides_nothing) {
  const fs::path program = root_ + "/usr/bin/python3.11";
  const auto time = fs::last_write_time(program);
  const auto before = look({"python3"});
  make("/usr/bin/python3.11", "two");
  fs::last_write_time(program, time);
  EXPECT_NE(look({"python3"}), before);
}

TEST_F(HostPrograms, one_that_comes_first_in_the_path_is_another_one) {
  const auto before = look({"python3"});
  make("/usr/local/bin/python3");
  const auto now = look({"python3"});
  EXPECT_TRUE(now);
  EXPECT_NE(now, before);
}

TEST_F(HostPrograms, packages_that_were_installed_change_it) {
  const auto none = look({"python3"});
  make("/var/lib/dpkg/status", "a package", 0644);
  const auto one = look({"python3"});
  EXPECT_NE(one, none);
  make("/var/lib/dpkg/status", "two packages", 0644);
  EXPECT_NE(look({"python3"}), one);
}

TEST_F(HostPrograms, what_is_in_doubt_has_none) {
  EXPECT_FALSE(look({"python3", "node"}));          // is not there
  EXPECT_FALSE(look({"python3"}, "bin:/usr/bin"));  // a folder of the session's
  EXPECT_FALSE(look({"python3"}, ":/usr/bin"));     // the same
  EXPECT_FALSE(look({"bin/python3"}));
  EXPECT_FALSE(look({"python3"}, ""));
  make("/usr/local/bin/sh", "no program", 0644);
  EXPECT_FALSE(look({"sh"}));
  EXPECT_TRUE(look({"/usr/bin/python3"}, ""));
  EXPECT_FALSE(look({"/usr/bin/node"}, ""));
  fs::create_directories(root_ + "/opt");
  make("/opt/node");
  EXPECT_FALSE(look({"node"}, "/opt:/usr/bin"));  // a sandbox sees nothing of it
  fs::create_symlink("../../opt/node", root_ + "/usr/bin/node");
  EXPECT_FALSE(look({"node"}));
}

TEST(RunnerSwap, variables_that_lead_into_a_folder_of_the_sessions_own_are_told) {
  EXPECT_FALSE(leads_into_its_own({}));
  EXPECT_FALSE(leads_into_its_own({"PATH=/usr/bin:/bin", "COLOR=yes", "PYTHONPATH=/srv/lib"}));
  for (const char* variable :
       {"PYTHONPATH=/home/agent/lib", "PATH=/usr/bin:/tmp", "NODE_PATH=home/agent/x",
        "LD_PRELOAD=/var/tmp/x.so", "NODE_OPTIONS=--require /output/x.js", "X=/run/x",
        "PATH=/dev/shm:/bin", "PATH=../tmp"})
    EXPECT_TRUE(leads_into_its_own({"A=b", variable})) << variable;
}

}  // namespace
}  // namespace tare::host
