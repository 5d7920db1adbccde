#include "sys/users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace tare::sys {
namespace {

TEST(Users, a_user_of_the_system_is_found_by_name) {
  const auto root = find_user("root");
  ASSERT_TRUE(root.ok()) << root.error().message;
  EXPECT_EQ(root->name, "root");
  EXPECT_EQ(root->uid, 0U);
  EXPECT_EQ(root->gid, 0U);
}

TEST(Users, a_user_that_there_is_not_is_named_with_the_command_that_makes_it) {
  const auto none = find_user("tare-nobody-has-this-name");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Errc::not_found);
  EXPECT_THAT(none.error().message, testing::HasSubstr("useradd --system"));
}

// getent(1) takes a number for an id and a word with a dash for an option: neither is a name.
TEST(Users, what_is_no_name_finds_nobody) {
  for (const char* text : {"0", "", "--help", "root:x", "root\nroot"}) {
    EXPECT_FALSE(find_user(text).ok()) << text;
  }
}

TEST(Users, the_calling_user_has_its_own_ids) {
  const auto user = own_user();
  ASSERT_TRUE(user.ok()) << user.error().message;
  EXPECT_EQ(user->uid, ::geteuid());
  EXPECT_EQ(user->gid, ::getegid());
}

}  // namespace
}  // namespace tare::sys
