#include "host/debian_build.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

TEST(DebianBuild, a_failure_is_told_by_apts_own_errors) {
  constexpr std::string_view kStderr =
      "I: installing remaining packages inside the chroot...\n"
      "Building dependency tree...\n"
      "E: Unable to locate package no-such\n"
      "E: Unable to locate package nor-this\n"
      "E: setup failed: E: apt-get -o Dir::Bin::dpkg=env --yes install hello no-such failed\n"
      "I: main() received signal PIPE: waiting for setup...\n"
      "E: mmdebstrap failed to run\n";
  EXPECT_EQ(build_failure("build", kStderr, 1),
            "the build failed: E: Unable to locate package no-such; E: Unable to locate package "
            "nor-this");
}

TEST(DebianBuild, a_check_of_ours_that_failed_is_told_by_what_it_found) {
  EXPECT_EQ(build_failure("build",
                          "E: Unable to locate package no-such\n"
                          "E: setup failed: E: command failed: ! apt-get ... >&2\n"
                          "E: mmdebstrap failed to run\n",
                          1),
            "the build failed: E: Unable to locate package no-such");
}

TEST(DebianBuild, an_error_that_only_mmdebstrap_names_is_better_than_none) {
  EXPECT_EQ(build_failure("build", "E: cp -a failed\nE: mmdebstrap failed to run\n", 1),
            "the build failed: E: cp -a failed");
  EXPECT_EQ(build_failure("build", "no newline, no error", 2),
            "the build failed with status 2; see its log");
  EXPECT_EQ(build_failure("build", "", 25), "the build failed with status 25; see its log");
}

TEST(DebianBuild, what_failed_is_called_by_its_own_name) {
  EXPECT_EQ(build_failure("pull", "E: no such image\n", 1), "the pull failed: no such image");
  EXPECT_EQ(build_failure("push", "", 1), "the push failed with status 1; see its log");
}

TEST(DebianBuild, of_many_errors_the_first_are_told) {
  EXPECT_EQ(build_failure("build", "E: 1\nE: 2\nE: 3\nE: 4\nE: 5", 1),
            "the build failed: E: 1; E: 2; E: 3; and 2 more errors");
}

}  // namespace
}  // namespace tare::host
