// Archives, well-made and hostile (ATTACKS.md S16 to S18): what is unpacked, and that nothing else
// is touched.
#include "snapshot/tar_import.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <gmock/gmock.h>

#include "base/random.h"
#include "snapshot/test_support.h"
#include "sys/landlock.h"

namespace tare::snapshot {
namespace {

using test::kRoomy;
using test::pax_header;
using test::pax_record;
using test::tar_end;
using test::tar_entry;
using test::tar_of;
using test::TarEntry;
using test::TempDir;

// "staging" inside a folder whose other content must stay as it is.
struct Unpacked {
  explicit Unpacked(std::string_view archive, const TreeLimits& limits = kRoomy) {
    outer.write("outside", "untouched");
    sys::UniqueFd root = outer.folder("staging");
    const sys::UniqueFd file = test::as_file(archive);
    TreeWriter writer(sys::open_at(root.get(), ".", O_RDONLY | O_DIRECTORY).value(), limits);
    result = import_tar(file.get(), writer, limits, nullptr);
    if (result) finished = writer.finish();
    entries = writer.entries();
    bytes = writer.bytes();
  }
  std::string read(const std::string& name) const { return outer.read("staging/" + name); }
  struct stat stat(const std::string& name) const { return outer.stat("staging/" + name); }
  std::string error() const { return test::why(result); }
  bool untouched() const {
    return outer.read("outside") == "untouched" &&
           sys::list_dir(outer.fd(), ".").value().size() == 2;
  }

  TempDir outer;
  Result<TarCounts> result = Error{};
  Result<> finished;
  std::uint64_t entries = 0, bytes = 0;
};

TEST(TarImport, keeps_content_owner_mode_time_links) {
  TARE_NEEDS_ROOT();
  const Unpacked u(tar_of(
      {{.name = "./", .type = '5', .mode = 0755, .mtime = 11},
       {.name = "./d/", .type = '5', .mode = 0711, .uid = 7, .gid = 8, .mtime = 22},
       {.name = "./d/f", .content = "hello", .mode = 04755, .uid = 1000, .gid = 1001, .mtime = 33},
       {.name = "./d/l", .type = '2', .link = "../../../etc/passwd", .mtime = 44},
       {.name = "./h", .type = '1', .link = "./d/f"}}));
  ASSERT_EQ(u.error(), "");
  ASSERT_TRUE(u.finished.ok());
  EXPECT_EQ(u.read("d/f"), "hello");
  const struct stat f = u.stat("d/f"), d = u.stat("d"), l = u.stat("d/l"), root = u.stat(".");
  EXPECT_EQ(f.st_mode, S_IFREG | 04755U) << "setuid bits are part of the image";
  EXPECT_EQ(f.st_uid, 1000U);
  EXPECT_EQ(f.st_gid, 1001U);
  EXPECT_EQ(f.st_mtim.tv_sec, 33);
  EXPECT_EQ(f.st_nlink, 2U);
  EXPECT_EQ(u.stat("h").st_ino, f.st_ino);
  EXPECT_EQ(d.st_mode, S_IFDIR | 0711U);
  EXPECT_EQ(d.st_uid, 7U);
  EXPECT_EQ(d.st_mtim.tv_sec, 22) << "set after its content was made";
  EXPECT_EQ(l.st_mtim.tv_sec, 44);
  EXPECT_EQ(root.st_mtim.tv_sec, 11);
  EXPECT_EQ(sys::read_link_at(u.outer.fd(), "staging/d/l").value(), "../../../etc/passwd");
  EXPECT_EQ(u.entries, 4U);
  EXPECT_EQ(u.bytes, 5U);
}

TEST(TarImport, makes_missing_folders_as_roots) {
  const Unpacked u(tar_of({{.name = "a/b/c", .content = "x"}}));
  ASSERT_EQ(u.error(), "");
  EXPECT_EQ(u.stat("a/b").st_mode, S_IFDIR | 0755U);
  EXPECT_EQ(u.stat("a/b").st_mtim.tv_sec, kImplicitMtime);
  EXPECT_EQ(u.entries, 3U) << "folders made in passing are counted";
}

TEST(TarImport, names_are_bytes) {
  // One composed, one decomposed, one no UTF-8 at all, once in ustar and once in pax headers.
  const std::string names[] = {"caf\xc3\xa9",
                               "cafe\xcc\x81",
                               "\xff\xfe"
                               "bad",
                               "\xe2\x84\xaa",
                               "K",
                               "k"};
  for (const bool pax : {false, true}) {
    std::string archive;
    for (const std::string& name : names) {
      if (pax) archive += pax_header(pax_record("path", name));
      archive += tar_entry({.name = pax ? "x" : name, .content = name});
    }
    const Unpacked u(archive + tar_end());
    ASSERT_EQ(u.error(), "") << "pax " << pax;
    auto found = sys::list_dir(u.outer.fd(), "staging").value();
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(names));
    for (const std::string& name : names) EXPECT_EQ(u.read(name), name);
  }
}

TEST(TarImport, devices_fifos_and_foreign_attributes_are_dropped_and_counted) {
  const Unpacked u(tar_of({{.name = "null", .type = '3'},
                           {.name = "sda", .type = '4'},
                           {.name = "pipe", .type = '6'}}));
  ASSERT_EQ(u.error(), "");
  EXPECT_EQ(u.result->devices, 2U);
  EXPECT_EQ(u.result->specials, 1U);
  EXPECT_TRUE(sys::list_dir(u.outer.fd(), "staging").value().empty());

  const std::string attributes = pax_record("SCHILY.xattr.user.kept", "yes") +
                                 pax_record("SCHILY.xattr.security.capability", "\1\0\0\2") +
                                 pax_record("SCHILY.xattr.trusted.overlay.opaque", "y") +
                                 pax_record("SCHILY.xattr.user.overlay.opaque", "y");
  const Unpacked x(pax_header(attributes) + tar_entry({.name = "f"}) + tar_end());
  ASSERT_EQ(x.error(), "");
  EXPECT_EQ(x.result->xattrs, 3U);
  const sys::UniqueFd f = sys::open_at(x.outer.fd(), "staging/f", O_RDONLY).value();
  EXPECT_EQ(sys::xattrs_fd(f.get(), "").value(), (std::vector<sys::Xattr>{{"user.kept", "yes"}}));
}

struct Hostile {
  const char* what;
  std::string archive;
  std::string message;  // part of it
};

std::string pax_named(const std::string& name) {
  return pax_header(pax_record("path", name)) + tar_entry({.name = "x", .content = "x"}) +
         tar_end();
}

std::vector<Hostile> hostile_names() {
  std::string deep = "d";
  for (int i = 0; i < 300; ++i) deep += "/d";
  return {
      {"parent", tar_of({{.name = "../outside", .content = "x"}}), "component \".\" or \"..\""},
      {"parent inside", tar_of({{.name = "a/../../outside", .content = "x"}}),
       "component \".\" or \"..\""},
      {"parent after dot", tar_of({{.name = "./../outside", .content = "x"}}),
       "component \".\" or \"..\""},
      {"absolute", tar_of({{.name = "/tmp/tare_absolute", .content = "x"}}), "absolute"},
      {"absolute by pax", pax_named("/tmp/tare_absolute"), "absolute"},
      {"parent by pax", pax_named("../outside"), "component \".\" or \"..\""},
      {"empty component", tar_of({{.name = "a//b"}}), "empty component"},
      {"whiteout", tar_of({{.name = "d/.wh.x"}}), "whiteout"},
      {"opaque whiteout through a symlink",
       tar_of({{.name = "s", .type = '2', .link = ".."}, {.name = "s/.wh..wh..opq"}}), "whiteout"},
      {"too deep", pax_named(deep), "256 folders deep"},
      {"path beyond PATH_MAX", pax_named(std::string(2000, 'a') + "/" + std::string(2500, 'b')),
       "longer than 4000"},
      {"name beyond NAME_MAX", pax_named(std::string(300, 'n')), "more than 255 bytes"},
      {"target beyond PATH_MAX",
       pax_header(pax_record("linkpath", std::string(5000, 't'))) +
           tar_entry({.name = "l", .type = '2', .link = "x"}) + tar_end(),
       "1 to 4095 bytes"},
      {"empty target", tar_of({{.name = "l", .type = '2'}}), "1 to 4095 bytes"},
      {"owner out of range", tar_of({{.name = "f", .uid = 65'536}}), "0..65535"},
  };
}

std::vector<Hostile> hostile_links() {
  return {
      {"symlink ancestor",
       tar_of({{.name = "s", .type = '2', .link = ".."}, {.name = "s/outside", .content = "x"}}),
       "symlink or no folder"},
      {"symlink ancestor, absolute",
       tar_of({{.name = "s", .type = '2', .link = "/tmp"}, {.name = "s/x", .content = "x"}}),
       "symlink or no folder"},
      {"symlink ancestor inside the tree",
       tar_of({{.name = "d", .type = '5'},
               {.name = "s", .type = '2', .link = "d"},
               {.name = "s/x", .content = "x"}}),
       "symlink or no folder"},
      {"symlink chain",
       tar_of({{.name = "a", .type = '2', .link = "b"},
               {.name = "b", .type = '2', .link = ".."},
               {.name = "a/outside", .content = "x"}}),
       "symlink"},
      {"folder entry over a symlink",
       tar_of({{.name = "s", .type = '2', .link = ".."}, {.name = "s", .type = '5'}}),
       "appears twice"},
      {"file over a symlink",
       tar_of({{.name = "s", .type = '2', .link = "../outside"}, {.name = "s", .content = "x"}}),
       "appears twice"},
      {"file twice", tar_of({{.name = "f", .content = "x"}, {.name = "f", .content = "y"}}),
       "appears twice"},
      {"file twice, spelt otherwise", tar_of({{.name = "f"}, {.name = "./f"}}), "appears twice"},
      {"folder, then file", tar_of({{.name = "f", .type = '5'}, {.name = "f"}}), "appears twice"},
      {"below a file", tar_of({{.name = "f"}, {.name = "f/g"}}), "symlink or no folder"},
      {"hard link outside", tar_of({{.name = "h", .type = '1', .link = "../outside"}}),
       "component \".\" or \"..\""},
      {"hard link to absolute", tar_of({{.name = "h", .type = '1', .link = "/etc/passwd"}}),
       "absolute"},
      {"hard link through a symlink",
       tar_of({{.name = "s", .type = '2', .link = ".."},
               {.name = "h", .type = '1', .link = "s/outside"}}),
       "symlink or no folder"},
      {"hard link to nothing",
       tar_of({{.name = "h", .type = '1', .link = "later"}, {.name = "later"}}),
       "no file or symlink made before"},
      {"hard link to a folder",
       tar_of({{.name = "d", .type = '5'}, {.name = "h", .type = '1', .link = "d"}}),
       "no file or symlink made before"},
      {"hard link to the root", tar_of({{.name = "h", .type = '1', .link = "."}}),
       "hard link to a folder"},
      {"the root as a symlink", tar_of({{.name = ".", .type = '2', .link = "/etc"}}),
       "only a folder can be the root"},
  };
}

std::vector<Hostile> damaged_archives() {
  const std::string good = tar_entry({.name = "f", .content = "x"});
  return {
      {"negative owner", pax_header(pax_record("uid", "-1")) + good + tar_end(), ""},
      {"cut within a file",
       tar_entry({.name = "f", .content = std::string(5000, 'x')}).substr(0, 2048), ""},
      {"cut between entries", good, "end marker is missing"},
      {"one zero block only", good + std::string(512, '\0'), "end marker is missing"},
      {"something after the end", good + tar_end() + std::string(512, 'x'),
       "end marker is missing"},
      {"nothing", "", "empty"},
      {"only the end marker", tar_end(), ""},
      {"no archive", std::string(4096, 'z'), ""},
      {"more attributes than every disk keeps",
       pax_header(pax_record("SCHILY.xattr.user.some", std::string(3821, 'x'))) + good + tar_end(),
       "\"f\": its extended attributes take more than the 3840 bytes"},
      {"1 EB file", tar_of({{.name = "f", .claimed_size = std::int64_t{1} << 32}}), "too long"},
      {"1 EB sparse file",
       pax_header(pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") +
                  pax_record("GNU.sparse.name", "f") +
                  pax_record("GNU.sparse.realsize", "1152921504606846976")) +
           tar_entry({.name = "x", .content = "1\n0\n1\n" + std::string(507, '\0')}) + tar_end(),
       "too long"},
  };
}

TEST(TarImport, a_hostile_archive_is_refused_and_touches_nothing_outside) {
  for (const auto& table : {hostile_names(), hostile_links(), damaged_archives()}) {
    for (const Hostile& h : table) {
      const Unpacked u(h.archive);
      EXPECT_FALSE(u.result.ok()) << h.what;
      EXPECT_TRUE(u.untouched()) << h.what;
      EXPECT_THAT(u.error(), testing::HasSubstr(h.message)) << h.what;
      EXPECT_NE(::access("/tmp/tare_absolute", F_OK), 0) << h.what;
    }
  }
}

TEST(TarImport, a_hard_link_to_a_symlink_is_the_symlink_and_not_what_it_names) {
  const Unpacked u(tar_of(
      {{.name = "s", .type = '2', .link = "../outside"}, {.name = "h", .type = '1', .link = "s"}}));
  ASSERT_EQ(u.error(), "");
  EXPECT_EQ(sys::read_link_at(u.outer.fd(), "staging/h").value(), "../outside");
  EXPECT_TRUE(u.untouched());
}

// The size a pax header states counts, not the ustar one beside it: what a reader that mixes them
// up would take for entries (../outside) is content here.
TEST(TarImport, a_size_stated_twice_smuggles_no_entry) {
  const std::string inner = tar_of(
      {{.name = "smuggled", .content = "x"}, {.name = "../outside", .content = "x"}});
  TarEntry carrier{.name = "carrier", .content = inner, .claimed_size = 0};
  const Unpacked u(pax_header(pax_record("size", std::to_string(inner.size()))) +
                   tar_entry(carrier) + tar_end());
  ASSERT_EQ(u.error(), "");
  EXPECT_EQ(u.read("carrier"), inner);
  EXPECT_EQ(sys::list_dir(u.outer.fd(), "staging").value(), std::vector<std::string>{"carrier"});
  EXPECT_TRUE(u.untouched());
}

TEST(TarImport, limits_hold_for_entries_bytes_and_length) {
  std::vector<TarEntry> many;
  for (int i = 0; i < 11; ++i)
    many.push_back({.name = "f" + std::to_string(i), .content = std::string(100, 'x')});
  const std::string archive = tar_of(many);
  const auto with = [&](TreeLimits limits) { return Unpacked(archive, limits).error(); };
  EXPECT_EQ(with({.max_entries = 11, .max_bytes = 1100, .max_file_bytes = 100}), "");
  EXPECT_THAT(with({.max_entries = 10, .max_bytes = 1100, .max_file_bytes = 100}),
              testing::HasSubstr("more than 10"));
  EXPECT_THAT(with({.max_entries = 11, .max_bytes = 1099, .max_file_bytes = 100}),
              testing::HasSubstr("too many bytes"));
  EXPECT_THAT(with({.max_entries = 11, .max_bytes = 1100, .max_file_bytes = 99}),
              testing::HasSubstr("too long"));
}

TEST(TarImport, entries_that_are_dropped_count_towards_the_limit) {
  std::vector<TarEntry> nodes(20, TarEntry{.name = "null", .type = '3'});
  EXPECT_THAT(
      Unpacked(tar_of(nodes), {.max_entries = 19, .max_bytes = 1, .max_file_bytes = 1}).error(),
      testing::HasSubstr("more than 19"));
}

TEST(TarImport, holes_stay_holes) {
  // Old GNU sparse: two stretches in a 1 GiB file, through the real tar program.
  const TempDir dir;
  dir.write("f", "begin");
  ASSERT_EQ(::truncate((dir.path() + "/f").c_str(), 1 << 29), 0);
  for (const char* format : {"gnu", "posix"}) {
    const std::string command = "tar -S --format=" + std::string(format) + " -C " + dir.path() +
                                " -cf " + dir.path() + "/t f";
    ASSERT_EQ(::system(command.c_str()), 0);
    const Unpacked u(dir.read("t"));
    ASSERT_EQ(u.error(), "");
    EXPECT_EQ(u.stat("f").st_size, 1 << 29);
    EXPECT_LT(u.stat("f").st_blocks, 64);
    EXPECT_LT(u.bytes, 8192U);
    ASSERT_EQ(::unlinkat(dir.fd(), "t", 0), 0);
  }
}

TEST(TarImport, zeros_that_are_spelt_out_become_holes_and_every_other_byte_stays) {
  SeededRandom random(5);
  for (int round = 0; round < 40; ++round) {
    std::string content(random.below(400'000), '\0');
    for (std::uint64_t i = 0, pieces = random.below(6); i < pieces && !content.empty(); ++i) {
      std::string piece(1 + random.below(9000), '\0');
      random.fill(std::as_writable_bytes(std::span(piece)));
      const std::uint64_t at = random.below(content.size());
      content.replace(at, piece.size(), piece.substr(0, content.size() - at));
    }
    const Unpacked u(
        tar_of({{.name = "f", .content = content}, {.name = "after", .content = "x"}}));
    ASSERT_EQ(u.error(), "");
    ASSERT_EQ(u.read("f"), content) << round;
    EXPECT_EQ(u.read("after"), "x");
  }
  std::string content(1 << 20, '\0');
  content[700'000] = 'x';
  const Unpacked u(tar_of({{.name = "f", .content = content}}));
  EXPECT_EQ(u.stat("f").st_size, 1 << 20);
  EXPECT_LE(u.stat("f").st_blocks, 16);
  EXPECT_EQ(u.read("f"), content);
}

TEST(TarImport, reads_what_the_real_tar_program_writes_plain_and_compressed) {
  const TempDir dir;
  const sys::UniqueFd sub = dir.folder("tree");
  ASSERT_EQ(::system(("mkdir " + dir.path() + "/tree/bin && echo hi > " + dir.path() +
                      "/tree/bin/file && ln -s file " + dir.path() + "/tree/bin/link")
                         .c_str()),
            0);
  for (const char* how : {"", "-z", "-J", "--zstd"}) {
    const std::string command = "tar " + std::string(how) + " -C " + dir.path() + "/tree -cf " +
                                dir.path() + "/t .";
    if (::system((command + " 2>/dev/null").c_str()) != 0)
      continue;  // the compressor is not installed here
    const Unpacked u(dir.read("t"));
    ASSERT_EQ(u.error(), "") << how;
    EXPECT_EQ(u.read("bin/file"), "hi\n");
  }
}

TEST(TarImport, a_decompression_bomb_ends_at_the_limit) {
  const TempDir dir;
  const std::string command = "(head -c 100M /dev/zero) | gzip -1 > " + dir.path() + "/bomb";
  ASSERT_EQ(::system(command.c_str()), 0);
  // As content of a file, and as an endless run of zero blocks after the end marker.
  const Unpacked u(dir.read("bomb"),
                   {.max_entries = 10, .max_bytes = 1 << 20, .max_file_bytes = 1 << 20});
  EXPECT_THAT(u.error(), testing::HasSubstr("longer than its limits allow"));
}

TEST(Landlock, lets_a_confined_process_write_only_beneath_its_folder) {
  const TempDir dir;
  const sys::UniqueFd inside = dir.folder("inside");
  const pid_t child = ::fork();
  if (child == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(9);
    const auto confined = sys::confine_writes_beneath(inside.get());
    if (!confined) ::_exit(8);
    if (!*confined) ::_exit(7);
    const bool in = sys::open_at(inside.get(), "f", O_WRONLY | O_CREAT, 0600).ok() &&
                    sys::make_dir_at(inside.get(), "d", 0700).ok() &&
                    sys::make_link_at(inside.get(), "f", inside.get(), "d/g").ok();
    const bool out = sys::open_at(dir.fd(), "f", O_WRONLY | O_CREAT, 0600).ok() ||
                     sys::make_dir_at(dir.fd(), "d", 0700).ok() ||
                     sys::rename_at(inside.get(), "f", dir.fd(), "f").ok();
    ::_exit(in && !out ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
    GTEST_SKIP() << "this kernel has no Landlock (ABI 2)";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace tare::snapshot
