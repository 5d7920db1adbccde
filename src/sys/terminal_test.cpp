#include "sys/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>

#include "sys/files.h"
#include "sys/pipe_file.h"

namespace tare::sys {
namespace {

struct Pair {
  Pair() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    EXPECT_EQ(::grantpt(master.get()), 0);
    EXPECT_EQ(::unlockpt(master.get()), 0);
    slave.reset(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  UniqueFd master, slave;
};

TEST(Terminal, a_size_that_is_set_is_the_size_it_has) {
  const Pair pair;
  EXPECT_FALSE(terminal_size(pair.slave.get()).has_value());  // a new one does not know
  ASSERT_TRUE(set_terminal_size(pair.master.get(), 33, 111));
  const auto size = terminal_size(pair.slave.get());
  ASSERT_TRUE(size.has_value());
  EXPECT_EQ(size->rows, 33);
  EXPECT_EQ(size->columns, 111);
  const auto null = open_at(kCwd, "/dev/null", O_RDWR);
  EXPECT_FALSE(is_terminal(null->get()));
  EXPECT_FALSE(set_terminal_size(null->get(), 1, 1));
}

TEST(Terminal, raw_mode_ends_with_its_owner) {
  const Pair pair;
  termios before = {}, during = {}, after = {};
  ASSERT_EQ(::tcgetattr(pair.slave.get(), &before), 0);
  {
    auto raw = TerminalMode::raw(pair.slave.get());
    ASSERT_TRUE(raw);
    const TerminalMode moved = std::move(*raw);
    ::tcgetattr(pair.slave.get(), &during);
  }
  ::tcgetattr(pair.slave.get(), &after);
  EXPECT_EQ(during.c_lflag & (ICANON | ECHO | ISIG), 0U);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
}

TEST(Terminal, without_an_echo_it_shows_nothing_until_its_owner_ends) {
  const Pair pair;
  termios before = {}, during = {}, after = {};
  ASSERT_EQ(::tcgetattr(pair.slave.get(), &before), 0);
  std::array<char, 64> shown{};
  {
    auto quiet = TerminalMode::no_echo(pair.slave.get());
    ASSERT_TRUE(quiet);
    const TerminalMode moved = std::move(*quiet);
    ::tcgetattr(pair.slave.get(), &during);
    ASSERT_EQ(::write(pair.master.get(), "typed\n", 6), 6);
    EXPECT_EQ(::read(pair.slave.get(), shown.data(), shown.size()), 6);
    EXPECT_LT(::read(pair.master.get(), shown.data(), shown.size()), 0) << "something was shown";
  }
  ::tcgetattr(pair.slave.get(), &after);
  EXPECT_EQ(during.c_lflag & (ECHO | ECHONL), 0U);
  EXPECT_EQ(during.c_lflag & (ICANON | ISIG), static_cast<tcflag_t>(ICANON | ISIG));
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_cc[VSUSP], before.c_cc[VSUSP]);
  EXPECT_FALSE(TerminalMode::no_echo(-1).ok());
}

TEST(Terminal, what_it_shows_goes_into_a_file_and_its_close_is_an_end) {
  Pair pair;
  std::string name = "/tmp/tare_terminal_XXXXXX";
  const UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
  ::unlink(name.c_str());
  EXPECT_EQ(copy_to_file(pair.master.get(), file.get(), 0, 100)->state, PipeState::drained);
  ASSERT_EQ(::write(pair.slave.get(), "hello", 5), 5);
  const auto copied = copy_to_file(pair.master.get(), file.get(), 2, 100);
  ASSERT_TRUE(copied);
  EXPECT_EQ(copied->bytes, 5U);
  char text[8] = {};
  EXPECT_EQ(::pread(file.get(), text, sizeof text, 0), 7);
  EXPECT_STREQ(text + 2, "hello");
  pair.slave.reset();
  EXPECT_EQ(copy_to_file(pair.master.get(), file.get(), 7, 100)->state, PipeState::ended);
}

}  // namespace
}  // namespace tare::sys
