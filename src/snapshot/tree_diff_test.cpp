#include "snapshot/tree_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/random.h"

namespace tare::snapshot {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// ---- Trees as text: "d a", "f a/b content", "l a target", "h a first", "w a"; the root is added.

ManifestEntry entry(std::string_view line) {
  ManifestEntry out;
  const auto next = [&] {
    const std::size_t space = std::min(line.find(' '), line.size());
    std::string word(line.substr(0, space));
    line.remove_prefix(std::min(space + 1, line.size()));
    return word;
  };
  const std::string type = next();
  out.path = next();
  const std::string rest(line);
  if (type == "d") out.type = EntryType::directory;
  if (type == "l") out.type = EntryType::symlink;
  if (type == "h") out.type = EntryType::hardlink;
  if (type == "w") out.type = EntryType::whiteout;
  if (type == "d") out.mode = 0755;
  if (type == "f") out.mode = 0644;
  if (type == "f") out.size = rest.size();
  if (type == "f") out.content = sha256(rest);
  if (type == "l" || type == "h") out.target = rest;
  return out;
}

Manifest layer(const std::vector<std::string_view>& lines) {
  Manifest out;
  out.entries.push_back(entry("d ."));
  for (const auto line : lines) out.entries.push_back(entry(line));
  return out;
}

SeenTree merged(const std::vector<Manifest>& layers) {
  MergedTree tree;
  for (const Manifest& one : layers) tree.lay(one);
  return tree.seen();
}

std::vector<std::string> paths_of(const SeenTree& tree) {
  std::vector<std::string> out;
  for (const auto& [path, one] : tree) out.push_back(path);
  return out;
}

std::vector<std::string> told(const std::vector<TreeChange>& changes) {
  std::vector<std::string> out;
  for (const TreeChange& one : changes) {
    out.push_back(std::string(to_string(one.change)) + " " + one.path());
    for (const Aspect aspect : one.aspects) out.back() += " " + std::string(to_string(aspect));
  }
  return out;
}

TEST(MergedTree, a_higher_layer_hides_what_is_below_it) {
  const Manifest low = layer({"d a", "f a/b 1", "d a/c", "f a/c/d 2", "f a-b 3", "l e a"});
  struct Case {
    std::vector<std::string_view> over;
    std::vector<std::string> seen;
  };
  const Case cases[] = {
      {{}, {".", "a", "a/b", "a/c", "a/c/d", "a-b", "e"}},
      {{"d a", "f a/b x"}, {".", "a", "a/b", "a/c", "a/c/d", "a-b", "e"}},
      {{"f a x"}, {".", "a", "a-b", "e"}},
      {{"l a e"}, {".", "a", "a-b", "e"}},
      {{"w a"}, {".", "a-b", "e"}},
      {{"d a", "w a/c"}, {".", "a", "a/b", "a-b", "e"}},
      {{"d a", "w a/none"}, {".", "a", "a/b", "a/c", "a/c/d", "a-b", "e"}},
      {{"d e", "f e/x 1"}, {".", "a", "a/b", "a/c", "a/c/d", "a-b", "e", "e/x"}},
      {{"w a-b", "w e"}, {".", "a", "a/b", "a/c", "a/c/d"}},
  };
  for (const Case& one : cases) EXPECT_EQ(paths_of(merged({low, layer(one.over)})), one.seen);
}

TEST(MergedTree, it_is_told_which_layer_an_entry_is_from) {
  MergedTree tree;
  tree.lay(layer({"f a 1", "f b 1"}));
  tree.lay(layer({"f b 2"}));
  tree.lay(layer({"w a"}));
  EXPECT_EQ(tree.layer_of("b"), 1);
  EXPECT_EQ(tree.layer_of("a"), -1);
  EXPECT_EQ(tree.layer_of("."), 2);
}

TEST(MergedTree, names_of_one_file_stay_together_when_the_first_of_them_is_hidden) {
  const auto tree = merged({layer({"f a x", "h b a", "h c a"}), layer({"f a y"})});
  EXPECT_EQ(tree.at("a").target, "");
  EXPECT_EQ(tree.at("b").target, "");
  EXPECT_EQ(tree.at("c").target, "b");
  EXPECT_EQ(tree.at("c").content, sha256("x"));
  EXPECT_THAT(diff_trees(tree, merged({layer({"f a y", "f b x", "h c b"})})), IsEmpty());
}

TEST(TreeDiff, each_way_in_which_an_entry_can_differ_is_told) {
  const SeenTree before = merged({layer({"f a 1", "f b 2", "h c b", "l d x", "d e", "f e/f 1"})});
  const auto changed = [&](auto edit) {
    SeenTree after = before;
    edit(after);
    return told(diff_trees(before, after));
  };
  const auto at_a = [&](auto edit) { return changed([&](SeenTree& t) { edit(t.at("a")); }); };
  EXPECT_THAT(changed([](SeenTree&) {}), IsEmpty());
  EXPECT_THAT(at_a([](auto& e) { e.content = sha256("z"); }), ElementsAre("changed a content"));
  EXPECT_THAT(at_a([](auto& e) { e.mode = 0755; }), ElementsAre("changed a mode"));
  EXPECT_THAT(at_a([](auto& e) { e.uid = 1; }), ElementsAre("changed a owner"));
  EXPECT_THAT(at_a([](auto& e) { e.gid = 1; }), ElementsAre("changed a owner"));
  EXPECT_THAT(at_a([](auto& e) { e.mtime_s = 1; }), ElementsAre("changed a time"));
  EXPECT_THAT(at_a([](auto& e) { e.xattrs = {{"user.x", "1"}}; }),
              ElementsAre("changed a attributes"));
  EXPECT_THAT(changed([](SeenTree& t) { t.at("c").target.clear(); }),
              ElementsAre("changed c names"));
  EXPECT_THAT(changed([](SeenTree& t) { t.at("d").target = "y"; }),
              ElementsAre("changed d target"));
  EXPECT_THAT(changed([](SeenTree& t) { t.at("e") = entry("l e x"), t.erase("e/f"); }),
              ElementsAre("changed e type", "removed e/f"));
  EXPECT_THAT(changed([](SeenTree& t) { t["e/g"] = entry("f e/g 1"); }), ElementsAre("added e/g"));
}

// ---- Random trees and edits

// What a program would do with the tree of a real file system: the judge of the merging.
class Edited {
 public:
  explicit Edited(std::uint64_t seed) : random_(seed) {}

  // Some edits, as the layer they leave behind.
  Manifest edit(int edits) {
    std::map<std::string, ManifestEntry, EntryPathOrder> upper;
    for (int i = 0; i < edits; ++i) step(upper);
    // The folders on the way are copied up.
    const auto copied = upper;
    for (const auto& [path, one] : copied) {
      for (std::string at = path; at != kRootPath;) {
        at = split_entry_path(at).first;
        if (at != kRootPath) upper.try_emplace(at, tree_.at(at));
      }
    }
    Manifest out;
    out.entries.push_back(entry("d ."));
    for (const auto& [path, one] : upper) out.entries.push_back(one);
    return out;
  }
  const SeenTree& tree() const { return tree_; }

 private:
  using Upper = std::map<std::string, ManifestEntry, EntryPathOrder>;

  std::string some_path() {
    std::string folder(kRootPath);
    std::vector<std::string> folders = {folder};
    for (const auto& [path, one] : tree_)
      if (one.type == EntryType::directory && path != kRootPath) folders.push_back(path);
    folder = folders[random_.below(folders.size())];
    const std::string name(1, static_cast<char>('a' + random_.below(5)));
    return join_entry_path(folder, name);
  }
  template <class Tree>
  static void cut(Tree& tree, const std::string& path) {
    std::erase_if(tree, [&](const auto& one) {
      return one.first == path || one.first.starts_with(path + "/");
    });
  }
  void step(Upper& upper) {
    const std::string path = some_path();
    const std::uint64_t kind = random_.below(5);
    const bool folder_again = kind == 2 && tree_.contains(path) &&
                              tree_.at(path).type == EntryType::directory;
    if (folder_again) return;
    // Whatever was there goes; a folder made where one was would be opaque, which is written as
    // whiteouts of its names: those of all lower layers that are seen now.
    std::vector<std::string> hidden;
    for (const auto& [name, one] : lower_seen())
      if (split_parent(name) == path) hidden.push_back(name);
    cut(tree_, path);
    cut(upper, path);
    if (kind == 0) {
      upper[path] = entry("w " + path);
      return;
    }
    ManifestEntry made = entry("f " + path + " " + std::to_string(random_.below(4)));
    if (kind == 1) made = entry("l " + path + " t" + std::to_string(random_.below(3)));
    if (kind == 2) made = entry("d " + path);
    made.mtime_s = static_cast<std::int64_t>(random_.below(3));
    tree_[path] = upper[path] = made;
    if (kind == 2)
      for (const std::string& name : hidden) upper[name] = entry("w " + name);
  }
  static std::string split_parent(const std::string& path) {
    return path == kRootPath ? std::string() : split_entry_path(path).first;
  }

 public:
  SeenTree below;  // what the layers so far show
 private:
  const SeenTree& lower_seen() const { return below; }

  SeededRandom random_;
  SeenTree tree_ = {{std::string(kRootPath), entry("d .")}};
};

TEST(MergedTree, random_layers_show_what_random_edits_have_made_of_the_tree) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Edited edited(seed);
    std::vector<Manifest> layers;
    for (int i = 0; i < 4; ++i) {
      layers.push_back(edited.edit(12));
      edited.below = merged(layers);
      ASSERT_EQ(edited.below, edited.tree()) << "seed " << seed << ", layer " << i;
    }
  }
}

TEST(TreeDiff, a_tree_with_the_changes_made_is_the_other_tree_and_nothing_more_is_told) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Edited edited(seed);
    (void)edited.edit(25);
    const SeenTree before = edited.tree();
    (void)edited.edit(static_cast<int>(seed % 10));
    const SeenTree& after = edited.tree();
    SeenTree made = before;
    for (const TreeChange& one : diff_trees(before, after)) {
      ASSERT_NE(one.before, one.after) << one.path();
      ASSERT_EQ(one.change == Change::changed, !one.aspects.empty());
      ASSERT_EQ(one.before,
                before.contains(one.path()) ? std::optional(before.at(one.path())) : std::nullopt);
      made.erase(one.path());
      if (one.after) made[one.path()] = *one.after;
    }
    ASSERT_EQ(made, after) << "seed " << seed;
    ASSERT_THAT(diff_trees(after, after), IsEmpty());
  }
}

}  // namespace
}  // namespace tare::snapshot
