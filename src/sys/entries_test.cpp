#include "sys/entries.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "sys/files.h"

namespace tare::sys {
namespace {

class EntriesTest : public testing::Test {
 protected:
  EntriesTest() {
    char path[] = "/tmp/tare_entries_XXXXXX";
    path_ = ::mkdtemp(path);
    dir_ = open_at(kCwd, path_, O_RDONLY | O_DIRECTORY).value();
  }
  ~EntriesTest() override { (void)remove_tree_at(kCwd, path_); }
  UniqueFd file(const std::string& name) const {
    return open_at(dir_.get(), name, O_RDWR | O_CREAT, 0600).value();
  }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(EntriesTest, a_call_on_a_symlink_concerns_the_symlink) {
  const UniqueFd target = file("target");
  ASSERT_TRUE(set_mtime_fd(target.get(), 5).ok());
  ASSERT_TRUE(make_symlink_at(dir_.get(), "link", "target").ok());
  ASSERT_TRUE(set_mtime_at(dir_.get(), "link", 77).ok());
  EXPECT_EQ(stat_at(dir_.get(), "link")->st_mtim.tv_sec, 77);
  EXPECT_TRUE(S_ISLNK(stat_at(dir_.get(), "link")->st_mode));
  EXPECT_EQ(stat_at(dir_.get(), "target")->st_mtim.tv_sec, 5);
  EXPECT_EQ(read_link_at(dir_.get(), "link").value(), "target");
  ASSERT_TRUE(make_link_at(dir_.get(), "link", dir_.get(), "again").ok());
  EXPECT_TRUE(S_ISLNK(stat_at(dir_.get(), "again")->st_mode));
}

TEST_F(EntriesTest, data_is_found_between_holes) {
  const UniqueFd f = file("sparse");
  const std::byte data[1] = {std::byte{'x'}};
  constexpr std::uint64_t kMiB = 1 << 20;
  ASSERT_TRUE(write_at(f.get(), data, 4 * kMiB).ok());
  ASSERT_TRUE(truncate_fd(f.get(), 16 * kMiB).ok());
  const auto stretch = next_data(f.get(), 0).value();
  ASSERT_TRUE(stretch.has_value());
  if (stretch->begin == 0) GTEST_SKIP() << "/tmp does not tell holes";
  EXPECT_LE(stretch->begin, 4 * kMiB);
  EXPECT_GT(stretch->end, 4 * kMiB);
  EXPECT_FALSE(next_data(f.get(), stretch->end).value().has_value());
}

TEST_F(EntriesTest, attributes_come_sorted_and_by_prefix) {
  const UniqueFd f = file("f");
  if (!set_xattr_fd(f.get(), {"user.b", "2"})) GTEST_SKIP() << "/tmp keeps no user attributes";
  ASSERT_TRUE(set_xattr_fd(f.get(), {"user.a", std::string("\0\1", 2)}).ok());
  const std::vector<Xattr> both = {{"user.a", std::string("\0\1", 2)}, {"user.b", "2"}};
  EXPECT_EQ(xattrs_fd(f.get(), "user.").value(), both);
  EXPECT_EQ(xattrs_fd(f.get(), "user.b").value(), (std::vector<Xattr>{{"user.b", "2"}}));
}

TEST_F(EntriesTest, a_lock_has_one_holder_until_it_is_closed) {
  UniqueFd first = file("lock");
  const UniqueFd second = file("lock");
  EXPECT_TRUE(try_lock_exclusive(first.get()).value());
  EXPECT_FALSE(try_lock_exclusive(second.get()).value());
  first.reset();
  EXPECT_TRUE(try_lock_exclusive(second.get()).value());
}

TEST_F(EntriesTest, renaming_replaces_an_empty_folder_and_no_other) {
  for (const char* name : {"from", "empty", "full"}) {
    ASSERT_TRUE(make_dir_at(dir_.get(), name, 0700).ok());
  }
  ASSERT_TRUE(make_dir_at(dir_.get(), "full/x", 0700).ok());
  EXPECT_EQ(rename_at(dir_.get(), "from", dir_.get(), "full").error().code, Errc::conflict);
  EXPECT_TRUE(rename_at(dir_.get(), "from", dir_.get(), "empty").ok());
}

}  // namespace
}  // namespace tare::sys
