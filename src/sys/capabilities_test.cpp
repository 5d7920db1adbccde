#include "sys/capabilities.h"

#include <gtest/gtest.h>

namespace tare::sys {
namespace {

constexpr std::string_view kStatus =
    "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000000000000001b\n"
    "CapBnd:\t8000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

TEST(Capabilities, are_read_from_a_status_file) {
  const auto sets = parse_capability_status(kStatus);
  ASSERT_TRUE(sets.ok()) << sets.error().message;
  EXPECT_EQ(*sets, (CapabilitySets{.effective = 0x1b,
                                   .permitted = 0x1ff'ffff'ffff,
                                   .inheritable = 0,
                                   .bounding = std::uint64_t{1} << 63,
                                   .ambient = 0,
                                   .no_new_privs = true}));
}

TEST(Capabilities, a_status_without_one_of_the_sets_is_refused_by_its_name) {
  for (const std::string name : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"}) {
    std::string status(kStatus);
    status.replace(status.find("\n" + name), 4, "\nXxx");
    const auto sets = parse_capability_status(status);
    ASSERT_FALSE(sets.ok());
    EXPECT_NE(sets.error().message.find(name), std::string::npos);
  }
}

TEST(Capabilities, a_mask_has_the_bits_named) {
  EXPECT_EQ(capability_mask({0, 1, 3, 4}), 0x1bU);
  EXPECT_EQ(capability_mask({}), 0U);
}

}  // namespace
}  // namespace tare::sys
