#include "snapshot/freeze.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "snapshot/test_overlay.h"

namespace tare::snapshot {
namespace {

namespace fs = std::filesystem;
using test::kRoomy;
using test::manifest_of;
using test::why;

class FreezeTest : public test::OverlayTest {};

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

// What `since` has is linked; the layer is what a copy of all would be.
TEST_F(FreezeTest, what_a_layer_of_the_same_upper_has_is_linked_and_nothing_else_is) {
  open_upper();
  for (const char* name : {"same", "content", "mode", "time", "gone", "attribute", "longer"})
    write(merged() / name, "first");
  write(merged() / "twice", "first");
  fs::create_hard_link(merged() / "twice", merged() / "again");
  const auto hold_time = [&](const char* name) {
    const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {1'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (merged() / name).c_str(), times, 0), 0);
  };
  hold_time("content");
  const CopiedUpper first = checkpoint(0);
  EXPECT_TRUE(first.known.files.empty());
  write(merged() / "content", "other");  // as long, and of the same time
  hold_time("content");
  fs::permissions(merged() / "mode", static_cast<fs::perms>(0600));
  hold_time("time");
  fs::remove(merged() / "gone");
  write(merged() / "longer", "first, and more");
  ASSERT_EQ(::lsetxattr((merged() / "attribute").c_str(), "user.note", "x", 1, 0), 0);
  write(merged() / "fresh", "first");
  const CopiedUpper second = checkpoint(1);
  std::vector<std::string> linked;
  for (const auto& [name, content] : second.known.files) linked.push_back(name);
  EXPECT_EQ(linked, std::vector<std::string>{"same"});
  const auto inode = [&](int number, const char* name) {
    struct stat status = {};
    EXPECT_EQ(::stat((path("checkpoint" + std::to_string(number)) / name).c_str(), &status), 0);
    return status.st_ino;
  };
  EXPECT_EQ(inode(0, "same"), inode(1, "same"));
  EXPECT_NE(inode(0, "content"), inode(1, "content"));
  // Read, or known: the same manifest.
  std::string text;
  const auto sink = [&](std::string_view part) {
    text += part;
    return ok();
  };
  ASSERT_TRUE(
      write_manifest_of(open(path("checkpoint1")).get(), sink, nullptr, nullptr, &second.known)
          .ok());
  EXPECT_EQ(text, manifest_of(open(path("checkpoint1")).get()));
  checkpoint(2, Since::nothing);
  EXPECT_EQ(text, manifest_of(open(path("checkpoint2")).get()));
}

// Its times and its length are those of the layer: only its content tells.
TEST_F(FreezeTest, what_was_written_through_a_mapping_is_never_missed) {
  open_upper();
  const std::string before(100'000, 'a');
  write(merged() / "mapped", before);
  const int file = ::open((merged() / "mapped").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(file, 0);
  void* const at = ::mmap(nullptr, before.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(at, MAP_FAILED);
  static_cast<char*>(at)[0] = 'b';  // from here on no fault tells the kernel of a change
  checkpoint(0);
  struct stat then = {}, now = {};
  ASSERT_EQ(::fstat(file, &then), 0);
  static_cast<char*>(at)[before.size() - 1] = 'z';
  static_cast<char*>(at)[1] = 'c';
  ASSERT_EQ(::fstat(file, &now), 0);
  checkpoint(1);
  EXPECT_EQ(now.st_size, then.st_size);
  EXPECT_EQ(dir_.read("checkpoint1/mapped").substr(0, 3), "bca");
  ::munmap(at, before.size());
  ::close(file);
}

TEST_F(FreezeTest, random_edits_in_many_layers_show_the_same_tree) {
  start_random_edits();
  for (int round = 0; round < 12; ++round) {
    open_upper();
    edit_at_random();
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

TEST_F(FreezeTest, two_parts_of_a_change_show_the_same_tree_as_the_whole) {
  fs::create_directories(layer(0) / "var/tmp");
  fs::create_directories(layer(0) / "var/lib/old");
  fs::create_directories(layer(0) / "tmp");
  write(layer(0) / "var/tmp/was", "x");
  open_upper();
  write(merged() / "tmp/t", "t");
  fs::remove(merged() / "var/tmp/was");
  fs::remove_all(merged() / "var/lib/old");
  fs::create_directories(merged() / "var/tmp/deep/er");
  write(merged() / "var/lib/new", "n");
  write(merged() / "top", "top");
  const std::string before = text_of_merged();
  freeze({.without = {"tmp", "var/tmp"}});
  const std::string kept = newest();
  freeze({.only = {"tmp", "var/tmp"}});
  const std::string scratch = newest();
  EXPECT_EQ(shown(), before);
  EXPECT_THAT(kept, ::testing::HasSubstr("\nw var/lib/old\n"));
  EXPECT_THAT(kept, ::testing::Not(::testing::HasSubstr("tmp")));
  EXPECT_THAT(scratch, ::testing::HasSubstr("\nw var/tmp/was\n"));
  EXPECT_THAT(scratch, ::testing::Not(::testing::HasSubstr("var/lib")));
  EXPECT_THAT(scratch, ::testing::Not(::testing::HasSubstr("top")));
}

TEST_F(FreezeTest, a_part_says_which_folder_on_its_way_is_none_any_more_and_hides_nothing_there) {
  fs::create_directories(layer(0) / "var/tmp");
  fs::create_directories(layer(0) / "tmp");
  write(layer(0) / "var/tmp/was", "x");
  open_upper();
  fs::remove_all(merged() / "var");
  fs::create_symlink("/elsewhere", merged() / "var");
  write(merged() / "tmp/new", "x");
  freeze({.without = {"tmp", "var/tmp"}});
  EXPECT_THAT(newest(), ::testing::HasSubstr(" var /elsewhere\n"));
  const std::string before = shown();
  open_upper();
  write(merged() / "tmp/newer", "x");
  fs::remove(merged() / "var");
  freeze({.only = {"tmp", "var/tmp"}});
  EXPECT_THAT(cut_, ::testing::ElementsAre("var"));
  EXPECT_THAT(newest(), ::testing::Not(::testing::HasSubstr("var")));
  EXPECT_THAT(newest(), ::testing::HasSubstr(" tmp/newer\n"));
  EXPECT_THAT(shown(), ::testing::HasSubstr("elsewhere"));
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

TEST_F(FreezeTest, holes_count_as_what_it_takes_to_hash_them) {
  open_upper();
  Freeze request{.owner_count = 65'536};
  request.limits = {
      .max_entries = 100, .max_bytes = 1 << 20, .max_file_bytes = std::uint64_t{1} << 40};
  const auto frozen = [&] {
    const test::TempDir into;
    TreeWriter writer(into.dup(), request.limits);
    return why(copy_upper(open(path("upper")).get(), {}, LowerView({}), request, writer, {}));
  };
  const auto hole = [&](const char* name, std::uint64_t size) {
    write(merged() / name, "");
    fs::resize_file(merged() / name, size);
  };
  hole("a", kFreeHoleBytes / 2);
  hole("b", kFreeHoleBytes / 2);
  fs::create_hard_link(merged() / "a", merged() / "a again");
  hole("c", 1 << 20);
  EXPECT_EQ(frozen(), "");
  hole("d", 1);
  EXPECT_EQ(
      frozen(),
      "entry \"d\": it has 1 bytes, its holes included; all files together may have 8193M, as "
      "a sandbox with this disk limit stands still while they are read: make it shorter, or "
      "remove it");
  request.limits.max_bytes = kFreeHoleBytes * 2;  // who may have more data may have more holes
  EXPECT_EQ(frozen(), "");
  hole("d", kFreeHoleBytes * 3);
  EXPECT_THAT(frozen(), ::testing::HasSubstr("\"d\""));
}

TEST_F(FreezeTest, what_was_a_hole_and_is_data_now_is_not_missed) {
  open_upper();
  constexpr std::uint64_t kMiB = 1 << 20;
  write(merged() / "holes", "begin");
  const auto put = [&](std::uint64_t at, std::string_view text) {
    const int file = ::open((merged() / "holes").c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(::pwrite(file, text.data(), text.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(text.size()));
    const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {1'000'000, 0}};
    ASSERT_EQ(::futimens(file, times), 0);
    ::close(file);
  };
  put(40 * kMiB, "middle");
  put(90 * kMiB, "end");
  checkpoint(0);
  EXPECT_EQ(checkpoint(1).known.files.size(), 1U);
  for (const std::uint64_t at : {20 * kMiB, 40 * kMiB + 2, 90 * kMiB + 2, 65 * kMiB - 1}) {
    put(at, "x");
    EXPECT_TRUE(checkpoint(2).known.files.empty()) << at;
    EXPECT_EQ(manifest_of(open(path("checkpoint2")).get()), manifest_of(open(path("upper")).get()));
    fs::remove_all(path("checkpoint1"));
    fs::rename(path("checkpoint2"), path("checkpoint1"));
  }
}

TEST_F(FreezeTest, attributes_that_a_disk_does_not_keep_are_refused_as_what_they_are) {
  open_upper();
  write(merged() / "few", "");
  const auto set = [&](const char* file, const std::string& name, std::size_t bytes) {
    const std::string value(bytes, 'x');
    return ::lsetxattr((path("upper") / file).c_str(), name.c_str(), value.data(), bytes, 0);
  };
  // With 20 bytes beside it that is as much as is kept: an ext4 takes it.
  if (set("few", "user.some", 3820) != 0) GTEST_SKIP() << "/tmp keeps no such attributes";
  freeze();
  EXPECT_THAT(newest(), ::testing::HasSubstr(" few user.some=7878"));
  write(merged() / "many", "");
  ASSERT_EQ(set("many", "user.some", 3821), 0);
  Freeze request{.owner_count = 65'536};
  request.limits = kRoomy;
  TreeWriter writer(dir_.folder("refused"), kRoomy);
  const auto refused = copy_upper(open(path("upper")).get(), {}, LowerView({}), request, writer,
                                  {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_EQ(refused.error().message,
            "entry \"many\": its extended attributes take more than the 3840 bytes that are kept "
            "of one file: remove some of them (`setfattr -x`)");
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
