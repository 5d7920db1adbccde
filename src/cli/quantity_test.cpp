#include "cli/quantity.h"

namespace tare::cli {
namespace {

TEST(Quantity, cpus_have_three_decimals_at_most) {
  const std::pair<std::string_view, std::optional<std::uint32_t>> table[] = {
      {"1", 1000},    {"0.5", 500},    {"1.25", 1250}, {"0.001", 1}, {"999999", 999'999'000},
      {"0", 0},       {"1000000", {}}, {"", {}},       {".5", {}},   {"1.", {}},
      {"1.2345", {}}, {"-1", {}},      {"1e3", {}},    {"1,5", {}},  {"0x1", {}},
      {"1 ", {}},     {"1.-5", {}}};
  for (const auto& [text, expected] : table) {
    const auto parsed = parse_cpu_millis(text);
    EXPECT_EQ(parsed.ok(), expected.has_value()) << text;
    if (parsed.ok() && expected) {
      EXPECT_EQ(*parsed, *expected) << text;
    }
  }
}

TEST(Quantity, measured_times_are_short_texts) {
  EXPECT_EQ(elapsed_text(0), "0us");
  EXPECT_EQ(elapsed_text(830), "830us");
  EXPECT_EQ(elapsed_text(12'400), "12.4ms");
  EXPECT_EQ(elapsed_text(3'200'000), "3.2s");
  EXPECT_EQ(elapsed_text(125'000'000), "2m05s");
  EXPECT_EQ(elapsed_text(11'520'000'000), "3h12m");
}

}  // namespace
}  // namespace tare::cli
