#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/limits.h"

namespace tare {
namespace {

using testing::HasSubstr;

class Lines final : public LogSink {
 public:
  void write(std::string_view line) override { text += line; }
  std::string text;
};

class LogTest : public testing::Test {
 protected:
  Lines lines_;
  ManualClock clock_{1'469'918'176'385};
  Logger logger_{lines_, clock_};
};

TEST_F(LogTest, a_line_is_one_json_object_with_its_fields_in_order) {
  const std::string id = "run_1";
  logger_.info("run started", {{"run", id},
                               {"pid", 17},
                               {"bytes", std::uint64_t{1} << 63},
                               {"ok", true},
                               {"delta", -3},
                               {"why", "x"}});
  EXPECT_EQ(
      lines_.text,
      R"({"time":"2016-07-30T22:36:16.385Z","level":"info","message":"run started","run":"run_1",)"
      R"("pid":17,"bytes":9223372036854775808,"ok":true,"delta":-3,"why":"x"})"
      "\n");
}

TEST_F(LogTest, hostile_text_cannot_make_a_second_line_or_field) {
  logger_.warning("a\nb", {{"x", "\"},{\"level\":\"error\"\n\x1b[31m\xFF"}});
  EXPECT_EQ(std::count(lines_.text.begin(), lines_.text.end(), '\n'), 1);
  EXPECT_THAT(lines_.text, HasSubstr(R"("message":"a\nb")"));
  EXPECT_THAT(lines_.text, HasSubstr(R"("x":"\"},{\"level\":\"error\"\n\u001b[31m)"));
}

TEST_F(LogTest, long_text_is_cut_and_marked) {
  logger_.info("m", {{"x", std::string(kMaxLogTextBytes + 1, 'a')}});
  EXPECT_THAT(lines_.text, HasSubstr("aaa...\"}"));
  EXPECT_LT(lines_.text.size(), kMaxLogTextBytes + 200);
}

TEST_F(LogTest, lines_below_the_level_are_not_written) {
  logger_.debug("no");
  EXPECT_EQ(lines_.text, "");
  Logger(lines_, clock_, LogLevel::debug).debug("yes");
  EXPECT_THAT(lines_.text, HasSubstr(R"("level":"debug","message":"yes"})"));
}

TEST_F(LogTest, a_child_repeats_its_fields_on_each_line) {
  const Logger child = logger_.with({{"run", "r1"}}).with({{"attempt", 2}});
  child.error("failed", Error{Errc::timeout, "x"}, {{"step", 3}});
  EXPECT_THAT(
      lines_.text,
      HasSubstr(
          R"("message":"failed","run":"r1","attempt":2,"step":3,"code":"timeout","error":"x"})"));
}

TEST_F(LogTest, a_descriptor_gets_the_whole_line) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  FdLogSink sink(ends[1]);
  Logger(sink, clock_).info("hello");
  std::array<char, 256> buffer{};
  const ssize_t n = ::read(ends[0], buffer.data(), buffer.size());
  EXPECT_THAT(std::string(buffer.data(), static_cast<std::size_t>(n)),
              testing::EndsWith("\"hello\"}\n"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LogTest, a_descriptor_that_cannot_be_written_is_not_the_callers_trouble) {
  FdLogSink sink(-1);
  Logger(sink, clock_).info("hello");
  SUCCEED();
}

}  // namespace
}  // namespace tare
