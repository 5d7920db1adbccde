#include "sys/no_echo.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/fd.h"

namespace tare::sys {
namespace {

TEST(NoEcho, shows_nothing_and_ends_with_its_owner) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  const UniqueFd slave(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios before = {}, during = {}, after = {};
  ASSERT_EQ(::tcgetattr(slave.get(), &before), 0);
  std::array<char, 64> shown{};
  {
    auto quiet = NoEcho::enter(slave.get());
    ASSERT_TRUE(quiet);
    const NoEcho moved = std::move(*quiet);
    ::tcgetattr(slave.get(), &during);
    ASSERT_EQ(::write(master.get(), "typed\n", 6), 6);
    EXPECT_EQ(::read(slave.get(), shown.data(), shown.size()), 6);
    EXPECT_LT(::read(master.get(), shown.data(), shown.size()), 0) << "something was shown";
  }
  ::tcgetattr(slave.get(), &after);
  EXPECT_EQ(during.c_lflag & (ECHO | ECHONL), 0U);
  EXPECT_EQ(during.c_lflag & (ICANON | ISIG), static_cast<tcflag_t>(ICANON | ISIG));
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_cc[VSUSP], before.c_cc[VSUSP]);
  EXPECT_FALSE(NoEcho::enter(-1).ok());
}

}  // namespace
}  // namespace tare::sys
