#include "snapshot/freeze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "snapshot/test_support.h"
#include "sys/unshare.h"

namespace tare::snapshot {
namespace {

namespace fs = std::filesystem;
using test::kRoomy;
using test::manifest_of;
using test::TempDir;
using test::why;

// A real overlay: what the kernel makes of edits is what a freeze reads.
class FreezeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    static const bool apart = ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    ASSERT_TRUE(apart);
    new_layer();
  }
  void TearDown() override { unmount(); }

  fs::path path(const std::string& name) const { return fs::path(dir_.path()) / name; }
  fs::path merged() const { return path("merged"); }
  fs::path layer(std::size_t number) const { return path("layer" + std::to_string(number)); }
  void new_layer() { fs::create_directories(layer(layers_++)); }

  void unmount() {
    while (::umount2(merged().c_str(), MNT_DETACH) == 0) {
    }
  }
  std::string lower_option() const {
    std::string option = "lowerdir=";
    for (std::size_t i = layers_; i-- > 0;) option += layer(i).string() + (i > 0 ? ":" : "");
    return option;
  }
  void mount(const std::string& options) {
    unmount();
    fs::create_directories(merged());
    const std::string all = lower_option() + options + ",metacopy=off,index=off,xino=off";
    ASSERT_EQ(::mount("overlay", merged().c_str(), "overlay", 0, all.c_str()), 0) << all;
  }
  // Empty, and everything made below merged() is a change.
  void open_upper() {
    for (const char* name : {"upper", "work"}) {
      fs::remove_all(path(name));
      fs::create_directories(path(name));
    }
    mount(",upperdir=" + path("upper").string() + ",workdir=" + path("work").string() +
          ",redirect_dir=off");
  }
  // With layers alone.
  std::string shown() {
    fs::create_directories(path("nothing"));
    ++layers_;  // overlayfs wants two at least
    fs::remove(layer(layers_ - 1));
    fs::create_directory_symlink(path("nothing"), layer(layers_ - 1));
    mount("");
    fs::remove(layer(layers_ - 1));
    --layers_;
    return text_of_merged();
  }
  // The root's own line is left out: the empty folder above it would show.
  std::string text_of_merged() const {
    const std::string text = manifest_of(
        sys::open_at(sys::kCwd, merged().string(), O_RDONLY | O_DIRECTORY).value().get());
    const std::size_t root = text.find('\n') + 1;
    return text.substr(text.find('\n', root));
  }
  PathSet opaque() const {
    PathSet found;
    for (const auto& entry : fs::recursive_directory_iterator(path("upper"))) {
      char value = 0;
      if (entry.is_symlink() || !entry.is_directory()) continue;
      if (::lgetxattr(entry.path().c_str(), "trusted.overlay.opaque", &value, 1) == 1 &&
          value == 'y')
        found.insert(fs::relative(entry.path(), path("upper")).string());
    }
    return found;
  }
  // The upper becomes the next layer.
  TarCounts freeze(Freeze request = {}) {
    request.limits = kRoomy;
    if (request.owner_count == 0) request.owner_count = 65'536;
    std::vector<sys::UniqueFd> roots;
    for (std::size_t i = layers_; i-- > 0;) roots.push_back(open(layer(i)));
    const PathSet hiding = opaque();
    new_layer();
    TreeWriter writer(open(layer(layers_ - 1)), kRoomy);
    const auto done = copy_upper(open(path("upper")).get(), hiding, LowerView(std::move(roots)),
                                 request, writer, nullptr);
    EXPECT_EQ(why(done), "");
    return done ? *done : TarCounts{};
  }
  std::string newest() const { return manifest_of(open(layer(layers_ - 1)).get()); }
  static sys::UniqueFd open(const fs::path& folder) {
    return sys::open_at(sys::kCwd, folder.string(), O_RDONLY | O_DIRECTORY).value();
  }
  static void write(const fs::path& file, std::string_view text) {
    std::ofstream(file, std::ios::binary) << text;
  }
  static std::vector<fs::path> all_below(const fs::path& folder) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) all.push_back(entry.path());
    std::ranges::sort(all);
    return all;
  }

  TempDir dir_;
  std::size_t layers_ = 0;
};

TEST_F(FreezeTest, a_change_alone_is_in_the_layer_and_the_tree_is_the_same) {
  fs::create_directories(layer(0) / "etc");
  write(layer(0) / "etc/old", "old");
  write(layer(0) / "etc/kept", "kept");
  open_upper();
  write(merged() / "etc/new", "new");
  fs::remove(merged() / "etc/old");
  const std::string before = text_of_merged();
  freeze();
  EXPECT_EQ(shown(), before);
  EXPECT_THAT(newest(), ::testing::HasSubstr("\nw etc/old\n"));
  EXPECT_THAT(newest(), ::testing::Not(::testing::HasSubstr("kept")));
}

TEST_F(FreezeTest, a_folder_that_was_removed_and_made_again_hides_what_it_had) {
  fs::create_directories(layer(0) / "a/b");
  write(layer(0) / "a/one", "1");
  write(layer(0) / "a/b/two", "2");
  open_upper();
  fs::remove_all(merged() / "a");
  fs::create_directories(merged() / "a/b");
  write(merged() / "a/b/three", "3");
  const std::string before = text_of_merged();
  freeze();
  EXPECT_EQ(shown(), before);
  EXPECT_THAT(newest(), ::testing::HasSubstr("\nw a/b/two\n"));
  EXPECT_THAT(newest(), ::testing::HasSubstr("\nw a/one\n"));
}

TEST_F(FreezeTest, what_was_made_and_removed_leaves_nothing) {
  fs::create_directories(layer(0) / "a");
  write(layer(0) / "a/x", "x");
  open_upper();
  write(merged() / "a/y", "y");
  fs::remove(merged() / "a/y");
  fs::remove(merged() / "a/x");
  write(merged() / "a/x", "x again");
  fs::create_directories(merged() / "d/e");
  fs::remove_all(merged() / "d");
  freeze();
  EXPECT_THAT(newest(), ::testing::Not(::testing::HasSubstr("\nw ")));
}

TEST_F(FreezeTest, random_edits_in_many_layers_show_the_same_tree) {
  std::mt19937 random(7);
  const auto pick = [&random](std::size_t n) { return random() % n; };
  fs::create_directories(layer(0) / "a/b/c");
  fs::create_directories(layer(0) / "d");
  for (const char* file : {"a/1", "a/b/2", "a/b/c/3", "d/4", "5"}) write(layer(0) / file, file);
  for (int round = 0; round < 12; ++round) {
    open_upper();
    for (int i = 0; i < 25; ++i) {
      const auto all = all_below(merged());
      const fs::path at = all.empty() ? merged() / "x" : all[pick(all.size())];
      const fs::path folder = fs::is_directory(fs::symlink_status(at)) ? at : at.parent_path();
      const fs::path fresh = folder / std::string(1, static_cast<char>('a' + pick(8)));
      std::error_code ignored;  // an edit that is not possible is none
      switch (pick(7)) {
        case 0: fs::remove_all(at, ignored); break;
        case 1: fs::create_directory(fresh, ignored); break;
        case 2:
          if (!fs::is_directory(fs::symlink_status(fresh))) write(fresh, std::to_string(i));
          break;
        case 3: fs::create_symlink("../x", fresh, ignored); break;
        case 4: fs::create_hard_link(at, fresh, ignored); break;
        case 5: fs::rename(at, fresh, ignored); break;
        case 6:
          if (!fs::is_symlink(at))
            fs::permissions(at, static_cast<fs::perms>(0700 + pick(64)), ignored);
          break;
      }
    }
    const std::string before = text_of_merged();
    freeze();
    ASSERT_EQ(shown(), before) << "round " << round;
  }
}

TEST_F(FreezeTest, owners_are_those_inside_and_strangers_are_refused) {
  open_upper();
  write(merged() / "theirs", "x");
  ASSERT_EQ(::chown((merged() / "theirs").c_str(), 101'000, 100'005), 0);
  ASSERT_EQ(::chown(path("upper").c_str(), 100'000, 100'000), 0);
  freeze({.owner_base = 100'000, .owner_count = 65'536});
  EXPECT_THAT(newest(), ::testing::ContainsRegex("f 644 1000 5 [0-9]+ 1 [0-9a-f]+ theirs"));
  write(merged() / "strange", "x");
  TreeWriter writer(dir_.folder("strange"), kRoomy);
  Freeze request{.owner_base = 100'000, .owner_count = 65'536};
  EXPECT_THAT(why(copy_upper(open(path("upper")).get(), {}, LowerView({}), request, writer, {})),
              ::testing::HasSubstr("owner is not one of the sandbox's"));
}

TEST_F(FreezeTest, what_is_left_out_is_neither_kept_nor_hidden) {
  fs::create_directories(layer(0) / "tmp/old");
  write(layer(0) / "tmp2", "x");
  open_upper();
  fs::remove_all(merged() / "tmp/old");
  write(merged() / "tmp/new", "x");
  write(merged() / "tmp2", "y");
  freeze({.without = {"tmp"}});
  EXPECT_THAT(newest(), ::testing::HasSubstr(" tmp2\n"));
  EXPECT_THAT(newest(), ::testing::Not(::testing::ContainsRegex("[ /]tmp[/\n]")));
}

TEST_F(FreezeTest, devices_and_pipes_are_dropped_and_what_they_replaced_stays_gone) {
  write(layer(0) / "was", "x");
  open_upper();
  fs::remove(merged() / "was");
  ASSERT_EQ(::mkfifo((merged() / "was").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((merged() / "null").c_str(), S_IFCHR, makedev(1, 3)), 0);
  const TarCounts dropped = freeze();
  EXPECT_EQ(dropped.specials, 1U);
  EXPECT_EQ(dropped.devices, 1U);
  EXPECT_THAT(newest(), ::testing::HasSubstr("\nw was\n"));
  EXPECT_EQ(shown().find("was"), std::string::npos);
}

TEST(ParseOpaque, takes_paths_with_their_ends_and_nothing_that_leads_out) {
  EXPECT_EQ(parse_opaque(std::string_view("a\0b/c\0", 6)).value(), (PathSet{"a", "b/c"}));
  EXPECT_TRUE(parse_opaque("").value().empty());
  for (const std::string_view bad : {std::string_view("a"), std::string_view("../a\0", 5),
                                     std::string_view("/a\0", 3), std::string_view("\0", 1)})
    EXPECT_FALSE(parse_opaque(bad)) << bad;
}

}  // namespace
}  // namespace tare::snapshot
