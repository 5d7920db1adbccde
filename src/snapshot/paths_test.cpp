#include "snapshot/paths.h"

#include <gtest/gtest.h>

namespace tare::snapshot {
namespace {

TEST(EntryPath, the_spellings_of_tar_are_brought_to_one) {
  const std::pair<std::string, std::string> table[] = {{".", "."},
                                                       {"./", "."},
                                                       {"a", "a"},
                                                       {"./a", "a"},
                                                       {"a/", "a"},
                                                       {"./a/b/", "a/b"},
                                                       {"././a", "a"},
                                                       {"a b", "a b"},
                                                       {"...", "..."},
                                                       {"..a", "..a"},
                                                       {"a/.hidden", "a/.hidden"},
                                                       {"\xff\xfe", "\xff\xfe"},
                                                       {"e\xcc\x81", "e\xcc\x81"},
                                                       {"a\nb", "a\nb"}};
  for (const auto& [raw, clean] : table) {
    auto result = clean_entry_path(raw);
    ASSERT_TRUE(result.ok()) << raw;
    EXPECT_EQ(*result, clean);
    EXPECT_TRUE(check_entry_path(clean).ok());
  }
}

TEST(EntryPath, whatever_could_lead_elsewhere_is_refused) {
  using namespace std::string_literals;
  const std::string table[] = {"",
                               "/",
                               "/etc",
                               "//etc",
                               "..",
                               "../a",
                               "a/..",
                               "a/../b",
                               "./../a",
                               "a//b",
                               "a/./b",
                               "a//",
                               "a\0b"s,
                               ".//a",
                               "a/b/../../..",
                               std::string(256, 'n'),
                               std::string(4001, 'p')};
  for (const std::string& raw : table) {
    const auto result = clean_entry_path(raw);
    ASSERT_FALSE(result.ok()) << raw;
    EXPECT_EQ(result.error().code, Errc::invalid);
  }
}

TEST(EntryPath, depth_and_length_are_bounded) {
  std::string deep = "d";
  for (std::size_t i = 1; i < kMaxEntryDepth; ++i) deep += "/d";
  EXPECT_TRUE(clean_entry_path(deep).ok());
  EXPECT_FALSE(clean_entry_path(deep + "/d").ok());
  EXPECT_TRUE(clean_entry_path(std::string(255, 'n')).ok());
}

TEST(EntryPath, only_the_plain_form_passes_the_check) {
  EXPECT_FALSE(check_entry_path("./a").ok());
  EXPECT_FALSE(check_entry_path("a/").ok());
  EXPECT_TRUE(check_entry_path("a/b").ok());
}

TEST(EntryPath, a_folders_content_follows_it_directly) {
  const std::string_view in_order[] = {".",   "a",   "a/b", "a/b/c", "a/c", "a\x01",
                                       "a-b", "a.b", "aa",  "b",     "\xff"};
  for (std::size_t i = 0; i < std::size(in_order); ++i) {
    for (std::size_t j = 0; j < std::size(in_order); ++j) {
      EXPECT_EQ(compare_entry_paths(in_order[i], in_order[j]), i <=> j)
          << in_order[i] << " " << in_order[j];
    }
  }
}

TEST(EntryPath, splits_at_the_last_component_and_is_joined_again) {
  EXPECT_EQ(split_entry_path("a"), std::pair(std::string("."), std::string("a")));
  EXPECT_EQ(split_entry_path("a/b/c"), std::pair(std::string("a/b"), std::string("c")));
  EXPECT_EQ(join_entry_path(".", "a"), "a");
  EXPECT_EQ(join_entry_path("a/b", "c"), "a/b/c");
}

TEST(EntryPath, is_below_a_folder_that_it_begins_with_up_to_a_slash) {
  for (const char* path : {"a/b", "a/b/c"}) EXPECT_TRUE(is_at_or_below(path, "a/b")) << path;
  for (const char* path : {".", "a", "a/bc", "a/b.c", "b"})
    EXPECT_FALSE(is_at_or_below(path, "a/b")) << path;
  for (const char* path : {".", "a", "..a"}) EXPECT_TRUE(is_at_or_below(path, kRootPath)) << path;
}

}  // namespace
}  // namespace tare::snapshot
