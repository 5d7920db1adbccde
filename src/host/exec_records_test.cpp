#include "host/exec_records.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>

#include "sys/files.h"

namespace tare::host {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kRun = "run_01m812hngsk8d1d69w9wnsfv1n";

struct ExecRecordsTest : ::testing::Test {
  ExecRecordsTest() {
    std::string name = "/tmp/tare_execs_XXXXXX";
    path = ::mkdtemp(name.data());
    dir = sys::open_directory(path).value();
  }
  ~ExecRecordsTest() override { std::filesystem::remove_all(path); }

  model::Exec exec(std::uint32_t number) const {
    model::Exec e;
    e.run = kRun;
    e.number = number;
    e.request.argv = {"ls"};
    return e;
  }
  std::string path;
  sys::UniqueFd dir;
};

TEST_F(ExecRecordsTest, what_was_kept_is_found_again) {
  const ExecRecords records(dir.get());
  EXPECT_THAT(records.numbers(kRun).value(), IsEmpty());
  ASSERT_TRUE(records.create(exec(1)));
  ASSERT_TRUE(records.create(exec(10)));
  ASSERT_TRUE(records.create(exec(2)));
  EXPECT_THAT(records.numbers(kRun).value(), ElementsAre(1, 2, 10));
  model::Exec ended = exec(2);
  ended.state = model::ExecState::ended;
  ended.outcome = model::Outcome{model::EndReason::exited, 3, 0, "x"};
  ASSERT_TRUE(records.save(ended));
  EXPECT_EQ(records.load(kRun, 2).value(), ended);
  EXPECT_EQ(records.load(kRun, 3).error().code, Errc::not_found);
}

TEST_F(ExecRecordsTest, a_number_is_given_once) {
  const ExecRecords records(dir.get());
  ASSERT_TRUE(records.create(exec(1)));
  EXPECT_EQ(records.create(exec(1)).error().code, Errc::conflict);
}

TEST_F(ExecRecordsTest, the_oldest_go_but_for_those_that_live) {
  const ExecRecords records(dir.get());
  for (std::uint32_t number = 1; number <= 6; ++number) ASSERT_TRUE(records.create(exec(number)));
  ASSERT_TRUE(records.prune(kRun, {2}, 3));
  EXPECT_THAT(records.numbers(kRun).value(), ElementsAre(2, 5, 6));
}

TEST_F(ExecRecordsTest, a_damaged_record_is_an_error_that_says_where) {
  const ExecRecords records(dir.get());
  ASSERT_TRUE(records.create(exec(1)));
  ASSERT_TRUE(sys::replace_file(dir.get(), ExecRecords::folder(kRun, 1) + "/exec.json", "{", 0600));
  EXPECT_THAT(records.load(kRun, 1).error().message, ::testing::HasSubstr("exec.json"));
}

}  // namespace
}  // namespace tare::host
