#include "sys/spawn.h"

#include <signal.h>
#include <unistd.h>

#include "sys/files.h"

namespace tare::sys {
namespace {

SpawnOptions shell(std::string script) {
  return {.program = "/bin/sh", .argv = {"sh", "-c", std::move(script)}, .env = {"A=1"}};
}

TEST(Spawn, the_program_has_what_it_was_given_and_no_more) {
  auto pipe = make_pipe().value();
  auto options = shell(
      "echo \"$A $HOME $PWD\"; cat; ls /proc/self/fd | wc -l; kill -0 -$$ && echo session");
  options.out = pipe.write.get();
  options.new_session = true;
  auto process = spawn(options);
  ASSERT_TRUE(process.ok()) << process.error().message;
  pipe.write.reset();
  // 0, 1, 2 and the one that ls reads the folder with.
  EXPECT_EQ(read_all(pipe.read.get(), 1000).value(), "1  /\n4\nsession\n");
  const auto status = process->reap();
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->code, 0);
}

TEST(Spawn, blocked_and_ignored_signals_are_not_inherited) {
  sigset_t set, before;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &set, &before);
  const auto ignored = ::signal(SIGPIPE, SIG_IGN);
  auto process = spawn(shell("kill -TERM $$; exit 3"));
  auto piped = spawn(shell("kill -PIPE $$; exit 3"));
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGPIPE, ignored);
  ASSERT_TRUE(process.ok() && piped.ok());
  const auto status = process->reap();
  EXPECT_TRUE(status->signalled);
  EXPECT_EQ(status->code, SIGTERM);
  EXPECT_EQ(piped->reap()->code, SIGPIPE);
}

TEST(Spawn, a_program_that_is_not_there_is_an_error_of_the_caller) {
  const auto process = spawn({.program = "/nonexistent/x", .argv = {"x"}, .env = {}});
  ASSERT_FALSE(process.ok());
  EXPECT_EQ(process.error().code, Errc::not_found);
}

TEST(Process, is_seen_to_end_and_can_be_signalled) {
  auto child = spawn(shell("exec sleep 100")).value();
  auto process = Process::open(child.pid()).value();
  EXPECT_FALSE(process.ended());
  ASSERT_TRUE(process.signal(SIGKILL).ok());
  EXPECT_EQ(child.reap()->code, SIGKILL);
  EXPECT_TRUE(process.ended());
  EXPECT_EQ(process.signal(SIGTERM).error().code, Errc::not_found);
  EXPECT_EQ(Process::open(child.pid()).error().code, Errc::not_found);
}

}  // namespace
}  // namespace tare::sys
