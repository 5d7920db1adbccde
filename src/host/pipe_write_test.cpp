#include "host/pipe_write.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"
#include "fiber/wait.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::host {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMoreThanAPipeHolds = std::size_t{300} << 10;

void in_loop(const std::function<void(const fiber::Context&)>& body) {
  auto loop = fiber::Loop::create();
  ASSERT_TRUE(loop.ok());
  (*loop)->spawn([&](const fiber::Context& ctx) { body(ctx); });
  (*loop)->run();
}

sys::Pipe a_pipe() {
  auto pipe = sys::make_pipe();
  EXPECT_TRUE(pipe.ok());
  EXPECT_TRUE(sys::set_nonblocking(pipe->write.get(), true).ok());
  return std::move(*pipe);
}

TEST(PipeWrite, others_run_while_the_pipe_is_full) {
  in_loop([](const fiber::Context& ctx) {
    sys::Pipe pipe = a_pipe();
    const std::string text(kMoreThanAPipeHolds, 'x');
    std::string taken;
    fiber::TaskGroup reader(ctx);
    reader.spawn([&](const fiber::Context& task) {
      std::array<std::byte, 4096> buffer{};
      while (taken.size() < text.size() && fiber::wait_readable(pipe.read.get(), task)) {
        const std::size_t n = sys::read_some(pipe.read.get(), buffer).value_or(0);
        taken.append(reinterpret_cast<const char*>(buffer.data()), n);
      }
    });
    std::uint64_t given = 0;
    const auto written = write_pipe(pipe.write.get(), text, given, ctx);
    EXPECT_TRUE(written.ok() && *written);
    EXPECT_EQ(given, text.size());
    reader.join();
    EXPECT_EQ(taken, text);
  });
}

TEST(PipeWrite, a_reader_that_takes_nothing_costs_only_the_time_it_is_given) {
  in_loop([](const fiber::Context& ctx) {
    sys::Pipe pipe = a_pipe();
    std::uint64_t given = 0;
    const auto written = write_pipe(pipe.write.get(), std::string(kMoreThanAPipeHolds, 'x'), given,
                                    ctx.with_timeout(10ms));
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code, Errc::timeout);
    EXPECT_LT(given, kMoreThanAPipeHolds);
  });
}

}  // namespace
}  // namespace tare::host
