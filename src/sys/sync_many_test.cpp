#include "sys/sync_many.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "sys/files.h"

namespace tare::sys {
namespace {

TEST(SyncMany, files_and_folders_are_synced_however_many_there_are) {
  for (const std::size_t count : {0, 1, 2, 100}) {
    std::vector<UniqueFd> files;
    std::vector<int> fds;
    for (std::size_t i = 0; i < count; ++i) {
      files.push_back(open_at(kCwd, "/tmp", i == 0 ? O_RDONLY : O_RDWR | O_TMPFILE, 0600).value());
      if (i > 0) {
        ASSERT_TRUE(write_all(files.back().get(), "x").ok());
      }
      start_writeback(files.back().get());
      fds.push_back(files.back().get());
    }
    EXPECT_TRUE(sync_fds(fds).ok()) << count;
  }
}

TEST(SyncMany, one_that_cannot_be_synced_is_an_error_wherever_it_stands) {
  const UniqueFd file = open_at(kCwd, "/tmp", O_RDWR | O_TMPFILE, 0600).value();
  const Pipe pipe = make_pipe().value();
  for (const std::size_t at : {0U, 5U, 19U}) {
    std::vector<int> fds(20, file.get());
    fds[at] = pipe.read.get();
    const auto synced = sync_fds(fds);
    ASSERT_FALSE(synced.ok());
    EXPECT_EQ(synced.error().sys, EINVAL);
  }
}

}  // namespace
}  // namespace tare::sys
