#include "host/canaries.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include "sys/files.h"

namespace tare::host {
namespace {

class CanariesTest : public testing::Test {
 protected:
  CanariesTest() {
    char path[] = "/tmp/tare_canaries_XXXXXX";
    CHECK(::mkdtemp(path) != nullptr);
    path_ = path;
    state_ = sys::open_at(sys::kCwd, path_, O_RDONLY | O_DIRECTORY).value();
  }
  ~CanariesTest() override { (void)sys::remove_tree_at(sys::kCwd, path_); }
  Canaries open() const { return Canaries::open(state_.get()).value(); }

  RealClock clock_;
  std::string path_;
  sys::UniqueFd state_;
};

const std::string kValue = "hunter2-hunter3-hunter4";

TEST_F(CanariesTest, what_was_added_is_there_after_a_restart_for_its_owner_alone) {
  {
    Canaries canaries = open();
    EXPECT_TRUE(canaries.add("db", kValue, clock_).ok());
    EXPECT_TRUE(canaries.add("db", kValue, clock_).ok()) << "the same again";
    EXPECT_EQ(canaries.add("db", kValue + "x", clock_).error().code, Errc::conflict);
    EXPECT_TRUE(canaries.add("api", std::string("\0binary \xff key of mine", 21), clock_).ok());
  }
  sys::write_file_atomic(state_.get(), "canaries/.db.tmp", "half", 0600).value();
  Canaries canaries = open();
  ASSERT_EQ(canaries.list().size(), 2U);
  EXPECT_EQ(canaries.list()[1].name, "db");
  EXPECT_EQ(canaries.list()[1].bytes, kValue.size());
  EXPECT_EQ(canaries.secrets()[1], (snapshot::Needle{"db", kValue}));
  const auto file = sys::open_at(state_.get(), "canaries/db", O_RDONLY).value();
  EXPECT_EQ(sys::stat_fd(file.get())->st_mode & 07777, 0600U);
  EXPECT_TRUE(canaries.remove("db").ok());
  EXPECT_EQ(canaries.remove("db").error().code, Errc::not_found);
  EXPECT_EQ(open().list().size(), 1U);
}

TEST_F(CanariesTest, what_cannot_be_one_is_refused_and_its_value_not_told) {
  Canaries canaries = open();
  for (const std::string name : {"", "../x", "A", "a/b", ".a"})
    EXPECT_EQ(canaries.add(name, kValue, clock_).error().code, Errc::invalid) << name;
  for (const std::string& value :
       {std::string(15, 'k'), std::string(5000, 'k'), std::string("aaaaaaaaaaaaaaaaaaaaaaa")}) {
    const auto refused = canaries.add("x", value, clock_);
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, testing::Not(testing::HasSubstr(value)));
  }
  for (std::size_t i = 0; i < kMaxCanaries; ++i)
    ASSERT_TRUE(canaries.add("n" + std::to_string(i), kValue, clock_).ok());
  EXPECT_EQ(canaries.add("more", kValue, clock_).error().code, Errc::exhausted);
}

}  // namespace
}  // namespace tare::host
