#include "fiber/wait.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fiber/task_group.h"
#include "fiber/test_support.h"
#include "fiber/timer.h"

namespace tare::fiber {
namespace {

using namespace std::chrono_literals;

TEST(Wait, a_pipe_becomes_readable_when_written_and_stays_so_until_read) {
  in_fiber([](const Context& ctx) -> Result<> {
    std::array<int, 2> fds{};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
    sys::UniqueFd reader(fds[0]), writer(fds[1]);
    EXPECT_EQ(code_of(wait_readable(reader.get(), ctx.with_timeout(1ms))), Errc::timeout);
    TaskGroup group(ctx);
    group.spawn([&](const Context&) { EXPECT_EQ(::write(writer.get(), "x", 1), 1); });
    TRY(wait_readable(reader.get(), ctx));
    TRY(wait_readable(reader.get(), ctx));
    EXPECT_EQ(::fcntl(reader.get(), F_GETFL) & O_NONBLOCK, 0)
        << "the descriptor must not be changed";
    char byte = 0;
    EXPECT_EQ(::read(reader.get(), &byte, 1), 1);
    EXPECT_EQ(code_of(wait_readable(reader.get(), ctx.with_timeout(1ms))), Errc::timeout);
    writer.reset();
    TRY(wait_readable(reader.get(), ctx));  // end of file is readable
    return {};
  });
}

TEST(Wait, readers_and_writers_of_one_descriptor_do_not_disturb_each_other) {
  in_fiber([](const Context& ctx) -> Result<> {
    Pair pair(SOCK_SEQPACKET);
    int readers = 0;
    TaskGroup group(ctx);
    for (int i = 0; i < 3; ++i) {
      group.spawn([&](const Context& task) {
        if (wait_readable(pair.a.get(), task).ok()) ++readers;
      });
    }
    group.spawn([&](const Context& task) {
      EXPECT_EQ(code_of(wait_readable(pair.a.get(), task.with_timeout(1ms))), Errc::timeout);
    });
    yield();
    TRY(wait_writable(pair.a.get(), ctx));
    TRY(sleep_for(3ms, ctx));
    EXPECT_EQ(readers, 0);
    EXPECT_EQ(::send(pair.b.get(), "hello", 5, 0), 5);
    group.join();
    EXPECT_EQ(readers, 3);
    return {};
  });
}

TEST(Wait, a_pidfd_is_readable_when_the_process_has_ended) {
  in_fiber([](const Context& ctx) -> Result<> {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(3);
    sys::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    TRY(wait_readable(pidfd.get(), ctx));
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, WNOHANG), child);
    EXPECT_EQ(WEXITSTATUS(status), 3);
    return {};
  });
}

TEST(Wait, a_regular_file_is_refused) {
  in_fiber([](const Context& ctx) -> Result<> {
    sys::UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(code_of(wait_readable(file.get(), ctx)), Errc::invalid);
    return {};
  });
}

TEST(Wait, a_descriptor_number_can_be_reused_after_a_wait) {
  in_fiber([](const Context& ctx) -> Result<> {
    int number = -1;
    for (int i = 0; i < 3; ++i) {
      sys::UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      if (number >= 0) {
        EXPECT_EQ(event.get(), number);
      }
      number = event.get();
      EXPECT_EQ(code_of(wait_readable(event.get(), ctx.with_timeout(1ms))), Errc::timeout);
      TRY(wait_writable(event.get(), ctx));
    }
    return {};
  });
}

}  // namespace
}  // namespace tare::fiber
