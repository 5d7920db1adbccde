#include "sys/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tare::sys {
namespace {

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = "/tmp/tare-files-XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    path_ = path;
    folder_ = open_at(kCwd, path, O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override { EXPECT_TRUE(remove_tree_at(kCwd, path_)); }
  int dir() const { return folder_.get(); }

  std::string path_;
  UniqueFd folder_;
};

TEST_F(Files, an_atomic_write_replaces_the_whole_file_and_sets_its_mode) {
  ASSERT_TRUE(write_file_atomic(dir(), "a", "first", 0600));
  ASSERT_TRUE(write_file_atomic(dir(), "a", "2", 0644));
  EXPECT_EQ(read_file_at(dir(), "a").value(), "2");
  struct stat status = {};
  ASSERT_EQ(::fstatat(dir(), "a", &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644U);
  EXPECT_EQ(list_dir(dir(), ".").value().size(), 1U);
}

TEST_F(Files, a_file_larger_than_allowed_is_refused) {
  ASSERT_TRUE(write_file_atomic(dir(), "a", std::string(100, 'x'), 0600));
  EXPECT_EQ(read_file_at(dir(), "a", 99).error().code, Errc::exhausted);
  EXPECT_EQ(read_file_at(dir(), "a", 100).value().size(), 100U);
}

TEST_F(Files, opening_beneath_follows_nothing_outside) {
  ASSERT_TRUE(make_dir_at(dir(), "in", 0755));
  ASSERT_EQ(::symlinkat("/etc/passwd", dir(), "link"), 0);
  ASSERT_EQ(::symlinkat("/etc", dir(), "folder"), 0);
  EXPECT_TRUE(open_beneath(dir(), "in", O_RDONLY));
  for (const char* path : {"link", "folder/passwd", "../", "in/../../x", "/etc/passwd"}) {
    EXPECT_FALSE(open_beneath(dir(), path, O_RDONLY)) << path;
  }
}

TEST_F(Files, a_path_with_a_nul_byte_is_refused) {
  EXPECT_EQ(open_at(dir(), std::string_view("a\0b", 3), O_RDONLY).error().code, Errc::invalid);
}

TEST_F(Files, errors_name_the_call_and_the_object) {
  const auto missing = open_at(dir(), "missing", O_RDONLY);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "open missing: No such file or directory");
  EXPECT_EQ(missing.error().sys, ENOENT);
  EXPECT_EQ(missing.error().code, Errc::not_found);
}

TEST_F(Files, removing_a_tree_follows_no_symlink) {
  ASSERT_TRUE(make_dir_at(dir(), "keep", 0755));
  ASSERT_TRUE(write_file_atomic(dir(), "keep/file", "x", 0600));
  ASSERT_TRUE(make_dir_at(dir(), "tree", 0755));
  ASSERT_EQ(::symlinkat("../keep", dir(), "tree/link"), 0);
  ASSERT_TRUE(remove_tree_at(dir(), "tree"));
  EXPECT_TRUE(exists_at(dir(), "keep/file"));
  EXPECT_FALSE(exists_at(dir(), "tree"));
  EXPECT_TRUE(remove_tree_at(dir(), "tree"));  // fine when absent
}

TEST_F(Files, a_tree_deeper_than_descriptors_last_is_removed_whatever_names_it_holds) {
  ASSERT_TRUE(make_dir_at(dir(), "deep", 0755));
  ASSERT_TRUE(make_dir_at(dir(), "deep/.tare-removed-0", 0755));
  ASSERT_TRUE(write_file_atomic(dir(), "deep/.tare-removed-0/file", "x", 0600));
  UniqueFd at = open_at(dir(), "deep", O_RDONLY | O_DIRECTORY).value();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(make_dir_at(at.get(), "d", 0755));
    at = open_at(at.get(), "d", O_RDONLY | O_DIRECTORY).value();
  }
  at.reset();
  EXPECT_TRUE(remove_tree_at(dir(), "deep"));
  EXPECT_FALSE(exists_at(dir(), "deep"));
}

}  // namespace
}  // namespace tare::sys
