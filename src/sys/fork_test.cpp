#include "sys/fork.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "sys/files.h"

namespace tare::sys {
namespace {

TEST(Fork, a_childs_end_is_told_as_it_was) {
  Child exits = fork_child().value();
  if (!exits.valid()) ::_exit(7);
  const ExitStatus status = exits.wait(nullptr).value();
  EXPECT_FALSE(status.signalled);
  EXPECT_EQ(status.code, 7);

  Child killed = fork_child().value();
  if (!killed.valid()) ::pause();
  ASSERT_TRUE(killed.signal(SIGTERM).ok());
  const ExitStatus signalled = killed.wait(nullptr).value();
  EXPECT_TRUE(signalled.signalled);
  EXPECT_EQ(signalled.code, SIGTERM);
}

TEST(Fork, a_limit_is_raised_as_far_as_it_may_be) {
  Child child = fork_child().value();
  if (!child.valid()) {
    rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t most = limit.rlim_max;
    limit.rlim_cur = 16;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const bool raised = raise_resource(RLIMIT_NOFILE, most + 1).ok();  // root's may be one more
    ::getrlimit(RLIMIT_NOFILE, &limit);
    ::_exit(raised && limit.rlim_cur == limit.rlim_max && limit.rlim_max >= most ? 0 : 1);
  }
  EXPECT_EQ(child.wait(nullptr).value().code, 0);
}

// The grandchild holds the only write end: the pipe ends when it is gone.
TEST(Fork, a_child_dies_with_its_parent) {
  Pipe pipe = make_pipe().value();
  Child parent = fork_child().value();
  if (!parent.valid()) {
    Child child = fork_child().value();
    if (!child.valid()) {
      (void)write_all(pipe.write.get(), "x");
      for (;;) ::pause();
    }
    pipe.write.reset();
    ::pause();
  }
  pipe.write.reset();
  char byte = 0;
  ASSERT_EQ(::read(pipe.read.get(), &byte, 1), 1) << "the grandchild runs";
  ASSERT_TRUE(parent.signal(SIGKILL).ok());
  EXPECT_EQ(::read(pipe.read.get(), &byte, 1), 0) << "and is gone";
  (void)parent.wait(nullptr);
}

TEST(Fork, closes_every_descriptor_but_those_named) {
  Child child = fork_child().value();
  if (!child.valid()) {
    const int high = ::fcntl(0, F_DUPFD, 500);
    const int kept = ::fcntl(0, F_DUPFD, 300);
    const int keep[] = {2, kept, -1};
    const bool closed = close_all_but(keep).ok();
    const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
    const bool good = high >= 500 && is_open(2) && is_open(kept) && !is_open(0) && !is_open(1) &&
                      !is_open(high);
    ::_exit(closed && good ? 0 : 1);
  }
  EXPECT_EQ(child.wait(nullptr)->code, 0);
}

}  // namespace
}  // namespace tare::sys
