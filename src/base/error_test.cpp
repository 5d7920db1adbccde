#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string_view>

namespace tare {
namespace {

TEST(Error, an_errno_keeps_its_number_its_text_and_becomes_a_kind) {
  const Error error = sys_error(ENOENT, "open /etc/x");
  EXPECT_EQ(error.code, Errc::not_found);
  EXPECT_EQ(error.sys, ENOENT);
  EXPECT_EQ(error.message, "open /etc/x: No such file or directory");
}

TEST(Error, errno_kinds) {
  struct Case {
    int error;
    Errc code;
  };
  constexpr Case kCases[] = {
      {ESRCH, Errc::not_found},   {EACCES, Errc::denied},       {EPERM, Errc::denied},
      {EEXIST, Errc::conflict},   {ENOSPC, Errc::exhausted},    {EMFILE, Errc::exhausted},
      {ETIMEDOUT, Errc::timeout}, {ENOSYS, Errc::unavailable},  {ECONNREFUSED, Errc::unavailable},
      {EINVAL, Errc::invalid},    {ECANCELED, Errc::cancelled}, {EIO, Errc::internal},
  };
  for (const auto& [error, code] : kCases) EXPECT_EQ(sys_error(error, "x").code, code) << error;
}

TEST(Error, an_unknown_errno_is_still_an_error) {
  EXPECT_EQ(sys_error(99'999, "x").message, "x: unknown error");
  EXPECT_EQ(sys_error(99'999, "x").code, Errc::internal);
}

TEST(Error, context_goes_in_front_and_keeps_kind_and_errno) {
  const Error error = sys_error(EACCES, "open memory.max").context("cgroup limit");
  EXPECT_EQ(error.message, "cgroup limit: open memory.max: Permission denied");
  EXPECT_EQ(error.code, Errc::denied);
  EXPECT_EQ(error.sys, EACCES);
}

TEST(Error, an_error_about_a_field_carries_its_path) {
  const Error error = field_error("limits.pids", "too many");
  EXPECT_EQ(error.code, Errc::invalid);
  EXPECT_EQ(error.message, "limits.pids: too many");
  EXPECT_EQ(error.field, "limits.pids");
}

TEST(Error, every_kind_has_a_spelling_of_its_own) {
  std::set<std::string_view> seen;
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i)
    seen.insert(to_string(static_cast<Errc>(i)));
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(Errc::internal) + 1);
}

}  // namespace
}  // namespace tare
