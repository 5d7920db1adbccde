#include "sandbox/doctor/facts.h"

#include <gtest/gtest.h>

namespace tare::sandbox {
namespace {

TEST(Facts, a_kernel_version_is_its_first_two_numbers) {
  EXPECT_EQ(parse_kernel_version("6.1.0-28-amd64"), (KernelVersion{6, 1}));
  EXPECT_EQ(parse_kernel_version("6.18"), (KernelVersion{6, 18}));
  for (const char* text : {"", "6", "6.", "x.1", ".1", "-6.1", "99999999999.1"}) {
    EXPECT_FALSE(parse_kernel_version(text)) << text;
  }
}

TEST(Facts, kernel_versions_are_compared_as_numbers) {
  EXPECT_LT(*parse_kernel_version("5.19.1"), kOldestKernel);
  EXPECT_LT(*parse_kernel_version("6.0.9"), kOldestKernel);
  EXPECT_GE(*parse_kernel_version("6.1.0"), kOldestKernel);
  EXPECT_GT(*parse_kernel_version("6.10.0"), *parse_kernel_version("6.9.0"));
}

TEST(Facts, a_range_of_ids_is_mapped_only_by_a_line_that_covers_all_of_it) {
  const char* all = "         0          0 4294967295\n";
  EXPECT_TRUE(maps_ids(all, 0x70000000, 0x80000000));
  EXPECT_FALSE(maps_ids("0 1000 1\n", 0x70000000, 10));
  EXPECT_TRUE(maps_ids("0 1000 1\n100 5000 50\n", 110, 40));
  EXPECT_FALSE(maps_ids("0 1000 1\n100 5000 50\n", 110, 41));
  EXPECT_FALSE(maps_ids("0 1000 1\n100 5000 50\n", 99, 2));
  for (const char* text : {"", "\n\n", "0 0\n", "a b c", "0 0 18446744073709551616\n"}) {
    EXPECT_FALSE(maps_ids(text, 0, 1)) << text;
  }
}

TEST(Facts, a_core_pattern_names_a_file_a_program_or_a_socket) {
  for (const char* file : {"", "core", "/var/crash/core.%P", "a|b", "a@b"})
    EXPECT_EQ(core_handler(file), CoreHandler::file) << file;
  EXPECT_EQ(core_handler("|/usr/lib/systemd/systemd-coredump %P\n"), CoreHandler::program);
  for (const char* socket : {"@/run/coredump.socket", "@@/run/coredump.socket"})
    EXPECT_EQ(core_handler(socket), CoreHandler::socket) << socket;
}

TEST(Facts, a_count_is_a_number_and_nothing_else) {
  EXPECT_EQ(parse_count("64"), 64U);
  for (const char* text : {"", "max", "64\n", " 64", "-1"}) EXPECT_FALSE(parse_count(text)) << text;
}

}  // namespace
}  // namespace tare::sandbox
