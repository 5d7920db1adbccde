#include "host/runner_needs.h"

#include <gtest/gtest.h>

namespace tare::host {
namespace {

using snapshot::EntryType;

snapshot::SeenTree tree_of(
    const std::vector<std::tuple<std::string, EntryType, std::uint32_t, std::string>>& entries) {
  snapshot::SeenTree tree;
  for (const auto& [path, type, mode, target] : entries) {
    snapshot::ManifestEntry entry;
    entry.type = type;
    entry.path = path;
    entry.mode = mode;
    entry.target = target;
    tree.emplace(path, std::move(entry));
  }
  return tree;
}

// As Debian has it: merged /usr, alternatives.
const snapshot::SeenTree kTree = tree_of({
    {"bin", EntryType::symlink, 0, "usr/bin"},
    {"etc", EntryType::directory, 0755, ""},
    {"etc/alternatives", EntryType::directory, 0755, ""},
    {"etc/alternatives/awk", EntryType::symlink, 0, "/usr/bin/mawk"},
    {"usr", EntryType::directory, 0755, ""},
    {"usr/bin", EntryType::directory, 0755, ""},
    {"usr/bin/awk", EntryType::symlink, 0, "/etc/alternatives/awk"},
    {"usr/bin/data", EntryType::file, 0644, ""},
    {"usr/bin/folder", EntryType::directory, 0755, ""},
    {"usr/bin/gone", EntryType::symlink, 0, "../lib/gone"},
    {"usr/bin/loop", EntryType::symlink, 0, "loop"},
    {"usr/bin/mawk", EntryType::file, 0755, ""},
    {"usr/bin/python3", EntryType::symlink, 0, "python3.11"},
    {"usr/bin/python3.11", EntryType::file, 0755, ""},
    {"usr/bin/up", EntryType::symlink, 0, "../../../../bin/../bin/./mawk"},
});

TEST(RunnerNeeds, a_program_is_found_through_symlinks) {
  for (const char* name : {"python3", "python3.11", "awk", "mawk", "up", "/bin/python3"})
    EXPECT_TRUE(has_program(kTree, name, "/usr/local/bin:/bin")) << name;
}

TEST(RunnerNeeds, what_is_no_program_is_not_one) {
  for (const char* name : {"node", "data", "folder", "gone", "loop", "", "/usr/bin/node", "/"})
    EXPECT_FALSE(has_program(kTree, name, "/usr/local/bin:/bin:/usr/bin")) << name;
}

TEST(RunnerNeeds, only_the_folders_of_the_path_count) {
  EXPECT_FALSE(has_program(kTree, "python3", "/usr/local/bin:/sbin"));
  EXPECT_FALSE(has_program(kTree, "python3", ""));
  EXPECT_FALSE(has_program(kTree, "python3", "usr/bin"));
  EXPECT_TRUE(has_program(kTree, "python3", "::/nowhere:/usr/bin/"));
}

}  // namespace
}  // namespace tare::host
