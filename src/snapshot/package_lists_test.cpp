#include "snapshot/package_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace tare::snapshot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr std::string_view kStatus =
    "Package: libc6\n"
    "Status: install ok installed\n"
    "Architecture: amd64\n"
    "Version: 2.36-9+deb12u4\n"
    "Description: GNU C Library\n"
    " with: colons\n"
    " .\n"
    "\n"
    "Package: libc6\n"
    "Status: hold ok installed\n"
    "Architecture: i386\n"
    "Version: 2.36-9\n"
    "\n"
    "\n"
    "Package: gone\n"
    "Status: deinstall ok config-files\n"
    "Version: 1\n"
    "\n"
    "Package: python3-minimal\n"
    "Version: 1:3.11.2-1~b1\n"
    "Status: install ok installed";

TEST(DpkgStatus, tells_what_is_installed) {
  EXPECT_THAT(parse_dpkg_status(kStatus).value(),
              ElementsAre(Pair("libc6:amd64", "2.36-9+deb12u4"), Pair("libc6:i386", "2.36-9"),
                          Pair("python3-minimal", "1:3.11.2-1~b1")));
  EXPECT_TRUE(parse_dpkg_status("").value().empty());
  EXPECT_TRUE(parse_dpkg_status("\n\n\n").value().empty());
}

TEST(DpkgStatus, what_is_not_one_is_refused_with_its_line) {
  const struct {
    std::string_view text, why;
  } cases[] = {
      {"no colon\n", "line 1: it is neither"},
      {"Package: aa\n:x\n", "line 2"},
      {"Package: aa\nPackage: bb\n", "line 2: the field is there twice"},
      {"Version: 1\n\n", "line 2: a paragraph without Package"},
      {"Package: ../x\nStatus: install ok installed\nVersion: 1\n", "is not the name"},
      {"Package: aa\nStatus: install ok installed\nVersion: \x1b[31m\n", "is not a version"},
      {"Package: aa\nStatus: install ok installed\n", "is not a version"},
      {"Package: aa\nStatus: install ok installed\nVersion: 1\nArchitecture: a b\n",
       "is not an architecture"},
      {"Package: aa\nStatus: a ok installed\nVersion: 1\n\n"
       "Package: aa\nStatus: a ok installed\nVersion: 2\n",
       "is there twice"},
  };
  for (const auto& one : cases) {
    const auto parsed = parse_dpkg_status(one.text);
    ASSERT_FALSE(parsed.ok()) << one.text;
    EXPECT_EQ(parsed.error().code, Errc::invalid);
    EXPECT_THAT(parsed.error().message, HasSubstr(one.why));
  }
}

TEST(DpkgStatus, damaged_text_gives_plain_names_or_an_error) {
  SeededRandom random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string text(kStatus);
    for (std::uint64_t i = 0, n = 1 + random.below(4); i < n; ++i)
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    const auto parsed = parse_dpkg_status(text.substr(0, random.below(text.size() + 1)));
    if (!parsed) continue;
    for (const auto& [name, version] : *parsed) {
      ASSERT_FALSE(name.empty());
      ASSERT_TRUE(std::ranges::all_of(name + version, [](char c) { return c > 0x20 && c < 0x7f; }));
    }
  }
}

SeenTree tree_of(const std::vector<std::string>& paths) {
  SeenTree tree;
  for (const std::string& path : paths) {
    ManifestEntry entry;
    entry.path = path;
    tree[path] = entry;
  }
  return tree;
}

TEST(PythonPackages, are_recognised_by_the_paths_of_their_metadata) {
  const auto found = python_packages(tree_of({
      "usr/lib/python3/dist-packages/Foo_Bar-1.2.dist-info/METADATA",
      "usr/lib/python3/dist-packages/a.-_b-2.0+local.dist-info/METADATA",
      "venv/lib/python3.11/site-packages/foo_bar-1.3.dist-info/METADATA",
      "x-1.dist-info/METADATA",
      "usr/lib/nodash.dist-info/METADATA",
      "usr/lib/-1.dist-info/METADATA",
      "usr/lib/bad name-1.dist-info/METADATA",
      "usr/lib/bad-\x1b.dist-info/METADATA",
      "usr/lib/other-1.dist-info/RECORD",
  }));
  EXPECT_THAT(found,
              ElementsAre(Pair("a-b", "2.0+local"), Pair("foo-bar", "1.2, 1.3"), Pair("x", "1")));
}

TEST(DiffPackages, tells_what_was_added_removed_and_changed_by_name) {
  const PackageList before = {{"a", "1"}, {"b", "1"}, {"d", "1"}};
  const PackageList after = {{"a", "2"}, {"b", "1"}, {"c", "3"}};
  EXPECT_THAT(diff_packages(before, after),
              ElementsAre(PackageChange{"a", "1", "2"}, PackageChange{"c", "", "3"},
                          PackageChange{"d", "1", ""}));
}

}  // namespace
}  // namespace tare::snapshot
