// Trees on disk and their manifests: what the digest covers, and what a walk refuses.
#include "snapshot/tree_manifest.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/random.h"
#include "snapshot/test_support.h"
#include "snapshot/tree_walk.h"

namespace tare::snapshot {
namespace {

using test::manifest_of;
using test::TempDir;

// The same seed makes the same tree, entry by entry; the order in which they are made can be turned
// round.
struct RandomTree {
  explicit RandomTree(std::uint64_t seed) {
    SeededRandom random(seed);
    for (std::uint64_t i = 0, n = 3 + random.below(20); i < n; ++i) {
      const std::string folder = random.below(2) == 0 ? ""
                                                      : "d" + std::to_string(random.below(4)) + "/";
      const std::string path = folder + "e" + std::to_string(i);
      EntryMetadata metadata;
      metadata.mode = static_cast<std::uint32_t>(random.below(010000));
      metadata.uid = static_cast<std::uint32_t>(random.below(2000));
      metadata.gid = static_cast<std::uint32_t>(random.below(2000));
      metadata.mtime_s = static_cast<std::int64_t>(random.below(2'000'000'000));
      entries.push_back({path, random.below(4), random.next_u64(), metadata});
    }
  }
  struct Entry {
    std::string path;
    std::uint64_t kind;  // 0 folder, 1 symlink, else file
    std::uint64_t content;
    EntryMetadata metadata;
  };
  void make(const TempDir& dir, bool backwards = false) const {
    TreeWriter writer(dir.dup(), test::kRoomy);
    EntryMetadata root;
    root.mtime_s = 1;
    ASSERT_EQ(test::why(writer.add_folder(".", root)), "");
    auto order = entries;
    if (backwards) std::reverse(order.begin(), order.end());
    for (const Entry& e : order) {
      if (e.kind == 0) {
        ASSERT_EQ(test::why(writer.add_folder(e.path, e.metadata)), "");
      } else if (e.kind == 1) {
        ASSERT_EQ(test::why(writer.add_symlink(e.path, std::to_string(e.content), e.metadata)), "");
      } else {
        auto file = writer.begin_file(e.path);
        ASSERT_EQ(test::why(file), "");
        const std::string text(e.content % 5000, static_cast<char>(e.content >> 56U));
        ASSERT_TRUE(writer.write(*file, std::as_bytes(std::span(text)), 0).ok());
        ASSERT_EQ(test::why(writer.finish_file(*file, text.size(), e.metadata)), "");
      }
    }
    ASSERT_EQ(test::why(writer.finish()), "");
  }
  std::vector<Entry> entries;
};

TEST(TreeManifest, equal_trees_have_equal_manifests_however_they_were_made) {
  TARE_NEEDS_ROOT();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const TempDir a, b;
    const RandomTree tree(seed);
    tree.make(a);
    tree.make(b, true);
    const std::string manifest = manifest_of(a.fd());
    EXPECT_EQ(manifest, manifest_of(b.fd())) << "seed " << seed;
    EXPECT_TRUE(parse_manifest(manifest).ok()) << "seed " << seed;
  }
}

TEST(TreeManifest, any_edit_changes_the_digest) {
  TARE_NEEDS_ROOT();
  using Edit = void (*)(const TempDir&);
  const std::pair<const char*, Edit> edits[] = {
      {"content", [](const TempDir& d) { d.write("f", "other"); }},
      {"length", [](const TempDir& d) { CHECK(::truncate((d.path() + "/f").c_str(), 9) == 0); }},
      {"mode", [](const TempDir& d) { CHECK(::chmod((d.path() + "/f").c_str(), 0600) == 0); }},
      {"setuid", [](const TempDir& d) { CHECK(::chmod((d.path() + "/f").c_str(), 04644) == 0); }},
      {"owner", [](const TempDir& d) { CHECK(::chown((d.path() + "/f").c_str(), 5, 0) == 0); }},
      {"group of a link",
       [](const TempDir& d) { CHECK(::lchown((d.path() + "/l").c_str(), 0, 5) == 0); }},
      {"time", [](const TempDir& d) { CHECK(sys::set_mtime_at(d.fd(), "g", 77).ok()); }},
      {"time of a folder",
       [](const TempDir& d) { CHECK(sys::set_mtime_at(d.fd(), "d", 77).ok()); }},
      {"target",
       [](const TempDir& d) {
         CHECK(::unlinkat(d.fd(), "l", 0) == 0 && ::symlinkat("g", d.fd(), "l") == 0);
       }},
      {"name", [](const TempDir& d) { CHECK(::renameat(d.fd(), "g", d.fd(), "G") == 0); }},
      {"gone", [](const TempDir& d) { CHECK(::unlinkat(d.fd(), "g", 0) == 0); }},
      {"one more", [](const TempDir& d) { d.write("h", ""); }},
      {"a copy for a hard link",
       [](const TempDir& d) {
         CHECK(::unlinkat(d.fd(), "f2", 0) == 0);
         d.write("f2", "text");
       }},
  };
  for (const auto& [name, edit] : edits) {
    const TempDir dir;
    const sys::UniqueFd sub = dir.folder("d");
    dir.write("f", "text");
    dir.write("g", "text");
    ASSERT_EQ(::linkat(dir.fd(), "f", dir.fd(), "f2", 0), 0);
    ASSERT_EQ(::symlinkat("f", dir.fd(), "l"), 0);
    const std::string before = manifest_of(dir.fd());
    edit(dir);
    EXPECT_NE(manifest_of(dir.fd()), before) << name;
  }
}

TEST(TreeManifest, user_attributes_count_and_the_overlays_own_do_not) {
  const TempDir dir;
  dir.write("f", "x");
  const sys::UniqueFd fd = sys::open_at(dir.fd(), "f", O_RDONLY).value();
  if (!sys::set_xattr_fd(fd.get(), {"user.a", "1"}))
    GTEST_SKIP() << "/tmp keeps no user attributes";
  const std::string with = manifest_of(dir.fd());
  EXPECT_NE(with.find(" f user.a=31\n"), std::string::npos) << with;
  ASSERT_TRUE(sys::set_xattr_fd(fd.get(), {"user.overlay.opaque", "y"}).ok());
  EXPECT_EQ(manifest_of(dir.fd()), with);
}

TEST(TreeManifest, holes_and_zeros_are_the_same_content) {
  const TempDir a, b;
  a.write("f", std::string(1 << 20, '\0'));
  b.write("f", "");
  ASSERT_EQ(::truncate((b.path() + "/f").c_str(), 1 << 20), 0);
  for (const TempDir* d : {&a, &b}) {
    ASSERT_TRUE(sys::set_mtime_at(d->fd(), "f", 5).ok());
    ASSERT_TRUE(sys::set_mtime_fd(d->fd(), 5).ok());
    ASSERT_EQ(::chmod(d->path().c_str(), 0755), 0);
  }
  EXPECT_EQ(manifest_of(a.fd()), manifest_of(b.fd()));
}

TEST(TreeManifest, what_a_layer_cannot_hold_is_refused) {
  const TempDir dir;
  ASSERT_EQ(::mkfifoat(dir.fd(), "pipe", 0600), 0);
  const auto none = [](std::string_view) { return ok(); };
  const auto summary = write_manifest_of(dir.fd(), none, nullptr);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().message, "entry \"pipe\": is a device, FIFO or socket");
}

TEST(TreeManifest, an_error_of_the_progress_call_ends_the_work) {
  const TempDir dir;
  for (int i = 0; i < 2000; ++i) dir.write(std::to_string(i), "");
  const auto none = [](std::string_view) { return ok(); };
  const auto stop = [](std::uint64_t, std::uint64_t) -> Result<> {
    return Error{Errc::timeout, "enough"};
  };
  EXPECT_EQ(test::why(write_manifest_of(dir.fd(), none, stop)), "enough");
}

TEST(TreeWalk, never_follows_a_symlink) {
  const TempDir dir, elsewhere;
  elsewhere.write("secret", "x");
  ASSERT_EQ(::symlinkat(elsewhere.path().c_str(), dir.fd(), "link"), 0);
  TreeWalk walk = TreeWalk::start(dir.fd()).value();
  std::vector<std::string> paths;
  for (auto step = walk.next(); step && *step; step = walk.next()) paths.push_back((*step)->path);
  EXPECT_EQ(paths, (std::vector<std::string>{".", "link", "."}));
}

TEST(TreeWalk, a_tree_deeper_than_allowed_is_named_and_not_entered) {
  const TempDir dir;
  sys::UniqueFd at = dir.dup();
  for (std::size_t i = 0; i <= kMaxEntryDepth + 5; ++i) {
    ASSERT_TRUE(sys::make_dir_at(at.get(), "d", 0755).ok());
    at = sys::open_at(at.get(), "d", O_RDONLY | O_DIRECTORY).value();
  }
  TreeWalk walk = TreeWalk::start(dir.fd()).value();
  std::size_t entered = 0, refused = 0;
  for (auto step = walk.next(); step && *step; step = walk.next()) {
    entered += (*step)->kind == WalkStep::Kind::enter ? 1 : 0;
    refused += (*step)->kind == WalkStep::Kind::unentered ? 1 : 0;
  }
  EXPECT_EQ(entered, kMaxEntryDepth + 1);
  EXPECT_EQ(refused, 1U);
}

}  // namespace
}  // namespace tare::snapshot
