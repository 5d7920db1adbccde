#include "host/file_answers.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

sandbox::FileEntry entry(std::string_view name) {
  sandbox::FileEntry raw;
  raw.name_bytes = static_cast<std::uint32_t>(name.size());
  return raw;
}

TEST(FileAnswers, a_name_never_leads_to_another_folder) {
  for (const std::string& name :
       std::vector<std::string>{"..", ".", "a/b", "/", "../x", {"a\0b", 3}}) {
    EXPECT_FALSE(entry_of(entry(name), name, "")) << name;
    EXPECT_FALSE(event_of({}, name)) << name;
  }
  for (const std::string name : {"...", ".x", "a b", "\xff\n", "..a"}) {
    EXPECT_TRUE(entry_of(entry(name), name, "")) << name;
    EXPECT_TRUE(event_of({}, name)) << name;
  }
}

TEST(FileAnswers, what_is_watched_itself_has_no_name_and_an_entry_has_one) {
  EXPECT_TRUE(event_of({}, ""));
  EXPECT_FALSE(entry_of(entry("x"), "", ""));
}

TEST(FileAnswers, sizes_types_and_modes_are_judged_before_anything_is_read) {
  sandbox::FileEntry good = entry("x");
  EXPECT_TRUE(is_plausible(good));
  const auto refused = [&](auto change) {
    sandbox::FileEntry raw = good;
    change(raw);
    return !is_plausible(raw);
  };
  EXPECT_TRUE(refused([](auto& raw) { raw.name_bytes = sandbox::kMaxFileNameBytes + 1; }));
  EXPECT_TRUE(refused([](auto& raw) { raw.target_bytes = sandbox::kMaxFileTargetBytes + 1; }));
  EXPECT_TRUE(refused([](auto& raw) { raw.type = sandbox::FileType{0}; }));
  EXPECT_TRUE(refused([](auto& raw) { raw.type = sandbox::FileType{7}; }));
  EXPECT_TRUE(refused([](auto& raw) { raw.mode = 010000; }));
  sandbox::WatchEvent event;
  event.kind = sandbox::WatchKind{sandbox::kLastWatchKind + 1};
  EXPECT_FALSE(is_plausible(event));
  sandbox::FileHead head;
  EXPECT_TRUE(is_plausible(head, 1));
  head.argument = 1;
  EXPECT_FALSE(is_plausible(head, 1));
  head = {.magic = 1};
  EXPECT_FALSE(is_plausible(head, 1));
}

}  // namespace
}  // namespace tare::host
