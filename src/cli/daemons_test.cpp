#include "cli/daemons.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fiber/loop.h"
#include "fiber/socket.h"
#include "fiber/wait.h"
#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class DaemonsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tare-daemons-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
  }
  void TearDown() override { fs::remove_all(base_); }

  static sys::Process sleeper(const char* script) {
    return sys::spawn({.program = "/bin/sh", .argv = {"sh", "-c", script}, .env = {}}).value();
  }
  void in_fiber(const std::function<void(const fiber::Context&)>& body) {
    auto done = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
      body(ctx);
      return ok();
    });
    EXPECT_TRUE(done.ok());
  }

  fs::path base_;
};

TEST_F(DaemonsTest, a_daemon_is_up_as_long_as_somebody_holds_its_socket) {
  const std::string path = base_ / "s";
  EXPECT_FALSE(is_up(path));
  auto listener = sys::listen_seqpacket(path, 0600, ::getegid()).value();
  EXPECT_TRUE(is_up(path));
  // Nobody was bothered by the question.
  EXPECT_FALSE(sys::accept_nonblocking(listener.get()).value().has_value());
  listener.reset();
  EXPECT_TRUE(fs::exists(path));
  EXPECT_FALSE(is_up(path));
  EXPECT_FALSE(is_up(std::string(200, 'x')));
}

TEST_F(DaemonsTest, a_stream_socket_counts_as_well) {
  const std::string path = base_ / "s";
  in_fiber([&](const fiber::Context&) {
    auto listener = fiber::UnixListener::bind(path, {});
    EXPECT_TRUE(is_up(path));
  });
  EXPECT_FALSE(is_up(path));
}

TEST_F(DaemonsTest, another_program_on_the_socket_is_not_taken_for_the_daemon) {
  const std::string path = base_ / "s";
  const auto listener = sys::listen_seqpacket(path, 0600, ::getegid()).value();
  in_fiber([&](const fiber::Context& ctx) {
    EXPECT_EQ(find_daemon(kLauncher, path, ctx).error().code, Errc::conflict);
    const auto mine = find_daemon("cli_tests", path, ctx);
    ASSERT_TRUE(mine.ok()) << mine.error().message;
    EXPECT_EQ((*mine)->pid(), ::getpid());
    EXPECT_FALSE(find_daemon(kLauncher, base_ / "nothing", ctx)->has_value());
  });
}

TEST_F(DaemonsTest, ending_asks_first_and_insists_later) {
  in_fiber([](const fiber::Context& ctx) {
    auto polite = sleeper("exec sleep 100");
    EXPECT_FALSE(end_process(polite, std::chrono::seconds(60), ctx).value());
    EXPECT_EQ(polite.reap()->code, SIGTERM);
    EXPECT_FALSE(
        end_process(polite, std::chrono::seconds(60), ctx).value());  // it has gone already

    // It says when the trap is set: before, SIGTERM would end it.
    auto pipe = sys::make_pipe().value();
    auto stubborn = sys::spawn(
                        {.program = "/bin/sh",
                         .argv = {"sh", "-c", "trap '' TERM; echo; while :; do sleep 0.05; done"},
                         .env = {},
                         .out = pipe.write.get()})
                        .value();
    EXPECT_TRUE(fiber::wait_readable(pipe.read.get(), ctx).ok());
    EXPECT_TRUE(end_process(stubborn, milliseconds(50), ctx).value());
    EXPECT_EQ(stubborn.reap()->code, SIGKILL);
  });
}

TEST_F(DaemonsTest, only_the_last_lines_since_the_start_are_shown) {
  fs::create_directory(base_ / "log");
  const Home home{base_};
  std::ofstream log(home.log_of("tared"));
  log << "old\n" << std::flush;
  const Daemon daemon{"tared", sys::Process::open(::getpid()).value(), 4};
  EXPECT_EQ(last_log_lines(home, daemon), "");
  log << "one\ntwo\n" << std::flush;
  EXPECT_EQ(last_log_lines(home, daemon), "\n  one\n  two");
  for (int i = 0; i < 2000; ++i) log << "line " << i << "\n";
  log << std::flush;
  const std::string lines = last_log_lines(home, daemon);
  EXPECT_TRUE(lines.starts_with("\n  line 1992\n")) << lines;
  EXPECT_TRUE(lines.ends_with("\n  line 1999")) << lines;
  EXPECT_EQ(last_log_lines(home, {"other", sys::Process::open(::getpid()).value(), 0}), "");
}

TEST_F(DaemonsTest, a_daemon_that_ends_while_starting_is_told_with_its_log) {
  fs::create_directory(base_ / "log");
  const Home home{base_};
  std::ofstream(home.log_of("tared")) << "no such user\n";
  in_fiber([&](const fiber::Context& ctx) {
    Daemon daemon{"tared", sleeper("exit 3"), 0};
    const auto waited = wait_until_up(home, daemon, base_ / "s", ctx);
    EXPECT_EQ(waited.error().code, Errc::internal);
    EXPECT_THAT(waited.error().message, testing::HasSubstr("no such user"));
    EXPECT_EQ(daemon.process.reap()->code, 3);

    std::ofstream(home.log_of("tare-store"))
        << R"({"level":"error","code":"denied","error":"no ids: usermod them"})" << "\n";
    Daemon refused{"tare-store", sleeper("exit 1"), 0};
    const auto why = wait_until_up(home, refused, base_ / "s", ctx);
    EXPECT_EQ(why.error().code, Errc::denied);
    EXPECT_EQ(why.error().message, "no ids: usermod them");
    EXPECT_EQ(refused.process.reap()->code, 1);

    const Daemon silent{"tared", sys::Process::open(::getpid()).value(), 0};
    const auto late = wait_until_up(home, silent, base_ / "s", ctx.with_timeout(milliseconds(20)));
    EXPECT_EQ(late.error().code, Errc::timeout);
    EXPECT_THAT(late.error().message, testing::HasSubstr("does not listen"));
  });
}

TEST(Daemons, the_api_key_is_not_passed_on) {
  ::setenv("TARE_API_KEY", "secret", 1);
  ::setenv("TARE_TEST_VARIABLE", "x", 1);
  const auto environment = child_environment();
  ::unsetenv("TARE_API_KEY");
  ::unsetenv("TARE_TEST_VARIABLE");
  EXPECT_THAT(environment, testing::Contains("TARE_TEST_VARIABLE=x"));
  EXPECT_THAT(environment, testing::Not(testing::Contains("TARE_API_KEY=secret")));
}

}  // namespace
}  // namespace tare::cli
