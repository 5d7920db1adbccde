#include "cli/home.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tare::cli {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kUser = 54'321;  // need not exist

class HomeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "making a home needs root: run the tests as root";
    std::string pattern = fs::temp_directory_path() / "tare-home-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    ::chmod(base_.c_str(), 0755);
  }
  void TearDown() override {
    if (!base_.empty()) fs::remove_all(base_);
  }
  static std::string look(const fs::path& path) {
    struct stat st{};
    if (::lstat(path.c_str(), &st) != 0) return "missing";
    return fmt::format("{}:{} {:o}", st.st_uid, st.st_gid, st.st_mode & 07777);
  }

  fs::path base_;
  sys::SystemUser user_{"tester", kUser, kUser};
};

TEST_F(HomeTest, is_made_with_the_owners_and_modes_of_the_architecture) {
  const fs::path home = base_ / "a/b";
  ASSERT_TRUE(prepare_home({home}, user_).ok());
  EXPECT_EQ(look(home), "0:0 755");
  EXPECT_EQ(look(home / "run"), "0:54321 750");
  EXPECT_EQ(look(home / "log"), "0:54321 750");
  EXPECT_EQ(look(home / "state"), "54321:54321 700");
  EXPECT_EQ(look(home / "blobs"), "54321:54321 700");
  EXPECT_EQ(look(home / "runs"), "54321:54321 700");
  EXPECT_EQ(look(home / "store"), "0:0 700");
  EXPECT_EQ(look(home / "launcher"), "0:0 700");
}

TEST_F(HomeTest, wrong_modes_are_put_right_and_contents_stay) {
  const fs::path home = base_ / "h";
  ASSERT_TRUE(prepare_home({home}, user_).ok());
  ::chmod((home / "state").c_str(), 0777);
  std::ofstream(home / "state/tare.db") << "data";
  ASSERT_TRUE(prepare_home({home}, user_).ok());
  EXPECT_EQ(look(home / "state"), "54321:54321 700");
  EXPECT_TRUE(fs::exists(home / "state/tare.db"));
}

TEST_F(HomeTest, a_folder_with_other_things_in_it_is_refused_and_left_alone) {
  fs::create_directory(base_ / "log");
  const auto result = prepare_home({base_}, user_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::conflict);
  EXPECT_EQ(look(base_ / "log"), "0:0 755");
}

TEST_F(HomeTest, a_home_that_others_could_exchange_is_refused) {
  ASSERT_EQ(::chown(base_.c_str(), kUser, 0), 0);
  EXPECT_EQ(prepare_home({base_}, user_).error().code, Errc::denied);
  ASSERT_EQ(::chown(base_.c_str(), 0, 0), 0);
  ::chmod(base_.c_str(), 0777);
  EXPECT_EQ(prepare_home({base_}, user_).error().code, Errc::denied);
}

TEST_F(HomeTest, a_home_the_user_cannot_reach_is_refused) {
  ::chmod(base_.c_str(), 0700);
  const auto result = prepare_home({base_ / "h"}, user_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::denied);
  EXPECT_THAT(result.error().message, testing::HasSubstr("chmod o+x " + base_.string()));
}

TEST_F(HomeTest, a_symlink_in_place_of_a_folder_is_refused) {
  ASSERT_TRUE(prepare_home({base_ / "h"}, user_).ok());
  fs::create_directory(base_ / "elsewhere");
  fs::remove_all(base_ / "h/state");
  fs::create_directory_symlink(base_ / "elsewhere", base_ / "h/state");
  EXPECT_FALSE(prepare_home({base_ / "h"}, user_).ok());
  EXPECT_EQ(look(base_ / "elsewhere"), "0:0 755");
}

TEST_F(HomeTest, of_an_ordinary_user_is_theirs_alone_and_what_a_daemon_took_over_stays_so) {
  const sys::SystemUser caller{"caller", ::geteuid(), ::getegid()};
  const fs::path home = base_ / "own";
  ASSERT_TRUE(prepare_own_home({home}, caller).ok());
  for (const char* name : {"launcher", "store", "run", "log", "state", "blobs", "runs"})
    EXPECT_TRUE(fs::is_directory(home / name)) << name;
  ASSERT_EQ(::chown((home / "store").c_str(), kUser, kUser), 0);
  ASSERT_TRUE(prepare_own_home({home}, caller).ok());
  EXPECT_EQ(look(home / "store"), "54321:54321 700");
}

TEST_F(HomeTest, of_somebody_else_or_that_others_can_write_to_is_refused_to_an_ordinary_user) {
  const sys::SystemUser caller{"caller", ::geteuid(), ::getegid()};
  ::chmod(base_.c_str(), 0775);
  EXPECT_EQ(prepare_own_home({base_}, caller).error().code, Errc::denied);
  ::chmod(base_.c_str(), 0755);
  EXPECT_EQ(prepare_own_home({base_}, user_).error().code, Errc::denied);
  fs::create_directory(base_ / "other");
  EXPECT_EQ(prepare_own_home({base_}, caller).error().code, Errc::conflict);
}

}  // namespace
}  // namespace tare::cli
