#include "runs/report_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sys/files.h"

namespace tare::runs {
namespace {

class ReportLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tare-report-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    ASSERT_TRUE(sys::set_nonblocking(pipe_.read.get(), true).ok());
  }
  void TearDown() override { (void)sys::remove_tree_at(sys::kCwd, folder_); }

  std::unique_ptr<ReportLog> open() {
    return std::move(ReportLog::open(sys::kCwd, folder_)).value();
  }
  void say(std::string_view text) { ASSERT_TRUE(sys::write_all(pipe_.write.get(), text).ok()); }
  static std::string progress(int number) {
    return "{\"type\":\"progress\",\"fraction\":0.5,\"message\":\"" + std::to_string(number) +
           "\"}\n";
  }
  off_t size_of(const std::string& name) const {
    struct stat status = {};
    return ::stat((folder_ + "/" + name).c_str(), &status) == 0 ? status.st_size : -1;
  }

  std::string folder_;
  sys::Pipe pipe_ = sys::make_pipe().value();
};

TEST_F(ReportLogTest, what_left_the_pipe_is_there_after_a_restart_also_half_a_line) {
  auto log = open();
  const std::string line = progress(7);
  say(line.substr(0, 20));
  EXPECT_EQ(log->pump(pipe_.read.get())->bytes, 20U);
  EXPECT_EQ(log->pump(pipe_.read.get())->state, sys::PipeState::drained);
  EXPECT_TRUE(log->report().empty());
  log = open();
  say(line.substr(20));
  pipe_.write.reset();
  ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
  EXPECT_EQ(log->pump(pipe_.read.get())->state, sys::PipeState::ended);
  log->finish();
  EXPECT_EQ(log->report().progress->message, "7");
  EXPECT_EQ(log->report().refused, 0U);
  EXPECT_EQ(open()->report(), log->report());
}

TEST_F(ReportLogTest, what_has_got_long_is_kept_as_what_it_comes_to) {
  auto log = open();
  say("{\"type\":\"artifact\",\"name\":\"first\"}\n");
  int number = 0;
  while (size_of("report.state") < 0) {
    std::string lines;
    for (int i = 0; i < 500; ++i) lines += progress(++number);
    say(lines);
    ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
    ASSERT_LT(size_of("report.log"),
              static_cast<off_t>(ReportLog::kCompactBytes + 2 * ReportLog::kPumpBytes));
  }
  EXPECT_EQ(size_of("report.log"), 0);
  say(progress(-1));
  ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
  const auto again = open();
  EXPECT_EQ(again->report().artifacts.at(0).name, "first");
  EXPECT_EQ(again->report().progress->message, "-1");
  EXPECT_EQ(again->report(), log->report());
}

// Who never ends a pump at the end of a line keeps nothing from being compacted.
TEST_F(ReportLogTest, half_lines_for_ever_do_not_grow_on_the_disk) {
  auto log = open();
  say("{\"type\":\"artifact\",\"name\":\"first\"}");
  std::string rubbish;
  while (rubbish.size() < std::size_t{32} << 10) rubbish += "\nx";
  for (int i = 0; i < 100; ++i) {
    say(rubbish);
    ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
    ASSERT_LT(size_of("report.log"),
              static_cast<off_t>(ReportLog::kCompactBytes + ReportLog::kPumpBytes));
  }
  EXPECT_GT(size_of("report.state"), 0);
  const std::string line = progress(9);
  say("\n" + line.substr(0, 30));
  ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
  const auto again = open();
  say(line.substr(30));
  ASSERT_TRUE(again->pump(pipe_.read.get()).ok());
  EXPECT_EQ(again->report().artifacts.at(0).name, "first");
  EXPECT_EQ(again->report().progress->message, "9");
}

// One that is far too long, in pieces of which none ends it.
TEST_F(ReportLogTest, a_line_without_an_end_does_not_grow_on_the_disk) {
  auto log = open();
  for (int i = 0; i < 100; ++i) {
    say(std::string(std::size_t{32} << 10, 'x'));
    ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
    ASSERT_LT(size_of("report.log"),
              static_cast<off_t>(ReportLog::kCompactBytes + ReportLog::kPumpBytes));
  }
  EXPECT_EQ(log->report().refused, 1U);
  say("\n" + progress(3));
  ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
  EXPECT_EQ(log->report().progress->message, "3");
  EXPECT_EQ(open()->report().progress->message, "3");
}

// Died between the two: the lines are read once more.
TEST_F(ReportLogTest, a_state_with_the_lines_it_came_from_is_the_same) {
  auto log = open();
  say(progress(1) + "{\"type\":\"result\",\"value\":[1]}\n");
  ASSERT_TRUE(log->pump(pipe_.read.get()).ok());
  const std::string state = to_text(model::to_json(log->report()));
  ASSERT_TRUE(sys::write_file_atomic(sys::kCwd, folder_ + "/report.state", state, 0600).ok());
  EXPECT_EQ(open()->report(), log->report());
}

TEST_F(ReportLogTest, a_damaged_state_is_an_error_and_no_guess) {
  ASSERT_TRUE(sys::write_file_atomic(sys::kCwd, folder_ + "/report.state", "{\"result", 0600).ok());
  EXPECT_FALSE(ReportLog::open(sys::kCwd, folder_).ok());
}

}  // namespace
}  // namespace tare::runs
