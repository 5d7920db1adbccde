#include "snapshot/manifest.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tare::snapshot {
namespace {

ManifestEntry root() {
  return {.type = EntryType::directory, .path = ".", .mode = 0755, .mtime_s = 1'700'000'000};
}
ManifestEntry file(std::string path, std::string_view content) {
  return {.type = EntryType::file,
          .path = std::move(path),
          .mode = 0644,
          .mtime_s = 1'700'000'000,
          .size = content.size(),
          .content = sha256(content)};
}

std::string written(const std::vector<ManifestEntry>& entries) {
  std::string text;
  ManifestWriter writer([&](std::string_view part) {
    text += part;
    return ok();
  });
  for (const ManifestEntry& entry : entries) EXPECT_TRUE(writer.add(entry).ok());
  const auto summary = writer.finish();
  EXPECT_TRUE(summary.ok());
  EXPECT_EQ(summary->digest, sha256(text));
  return text;
}

std::vector<ManifestEntry> sample() {
  ManifestEntry hello = file("hello.txt", "hello\n");
  hello.xattrs = {{"user.note", "hi"}};
  const ManifestEntry again{.type = EntryType::hardlink, .path = "hello2", .target = "hello.txt"};
  const ManifestEntry link{
      .type = EntryType::symlink, .path = "to", .uid = 1, .gid = 2, .mtime_s = 3, .target = "/a b"};
  return {root(), hello, again, link};
}

TEST(Manifest, is_the_documented_text) {
  EXPECT_EQ(written(sample()),
            "tare-manifest 1\n"
            "d 755 0 0 1700000000 .\n"
            "f 644 0 0 1700000000 6 "
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 hello.txt"
            " user.note=6869\n"
            "h hello2 hello.txt\n"
            "l 1 2 3 to /a\\x20b\n"
            "end 3 6\n");
}

TEST(Manifest, a_whiteout_is_a_path_and_nothing_else) {
  auto entries = sample();
  entries.push_back({.type = EntryType::whiteout, .path = "way"});
  const std::string text = written(entries);
  EXPECT_NE(text.find("\nw way\nend 4 6\n"), std::string::npos);
  const auto manifest = parse_manifest(text);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->entries, entries);
  for (const char* bad : {"w way x\n", "w 0 way\n", "w\n"}) {
    std::string changed = text;
    changed.replace(changed.find("w way\n"), 6, bad);
    EXPECT_FALSE(parse_manifest(changed)) << bad;
  }
}

TEST(Manifest, what_is_written_is_read_back) {
  const auto entries = sample();
  const std::string text = written(entries);
  const auto manifest = parse_manifest(text);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->entries, entries);
  EXPECT_EQ(manifest->summary.entries, 3U);
  EXPECT_EQ(manifest->summary.bytes, 6U);
  EXPECT_EQ(manifest->summary.digest, sha256(text));
}

TEST(Manifest, every_byte_of_a_name_survives) {
  std::string names[2];  // a name has 255 at most, of which "/" and NUL are none
  for (int c = 1; c < 256; ++c) {
    if (c != '/') names[c / 128] += static_cast<char>(c);
  }
  ASSERT_EQ(names[0].size() + names[1].size(), 254U);
  const auto manifest = parse_manifest(written({root(), file(names[0], "x"), file(names[1], "x")}));
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  for (const std::size_t half : {0U, 1U}) EXPECT_EQ(manifest->entries[1 + half].path, names[half]);
}

TEST(Manifest, a_text_that_would_be_written_differently_is_refused) {
  const std::string good = written(sample());
  const std::pair<std::string, std::string> edits[] = {
      {"tare-manifest 1", "tare-manifest 2"},               // another version
      {"d 755 ", "d 0755 "},                                // leading zero
      {"d 755 ", "d 10755 "},                               // mode too large
      {"d 755 0 0 1700000000 .\n", ""},                     // no root
      {"hello2 hello.txt", "hello2 nothing"},               // link to nothing
      {"hello2 hello.txt", "hello2 hello2"},                // link to itself
      {"h hello2", "h a"},                                  // out of order
      {"f 644", "f 644 "},                                  // empty field
      {"5891b5", "5891B5"},                                 // upper case
      {"/a\\x20b", "/\\x61\\x20b"},                         // escaped without need
      {"user.note=6869", "user.note=68690"},                // half a byte
      {"user.note=6869", "user.note=6869 user.note=6869"},  // twice
      {"hello.txt user", "../hello.txt user"},              // leaves the tree
      {"hello.txt user", "d/hello.txt user"},               // its folder is not there
      {"l 1 2 3 to /a\\x20b", "l 1 2 3 to "},               // no target
      {"end 3 6", "end 4 6"},                               // wrong count
      {"end 3 6", "end 3 7"},                               // wrong sum
      {"end 3 6\n", ""},                                    // cut short
      {"end 3 6\n", "end 3 6\nx\n"},                        // goes on
      {"end 3 6\n", "end 3 6"},                             // no newline
  };
  for (const auto& [from, to] : edits) {
    std::string bad = good;
    const std::size_t at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    EXPECT_FALSE(parse_manifest(bad).ok()) << from << " -> " << to;
  }
}

TEST(Manifest, any_changed_byte_is_refused_or_changes_the_digest) {
  const std::string good = written(sample());
  const Sha256Digest digest = sha256(good);
  SeededRandom random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string bad = good;
    char& byte = bad[random.below(bad.size())];
    const char before = byte;
    while (byte == before) byte = static_cast<char>(random.below(256));
    const auto parsed = parse_manifest(bad);
    if (parsed) {
      EXPECT_NE(parsed->summary.digest, digest);
      EXPECT_EQ(written(parsed->entries), bad) << "what parses is canonical";
    }
  }
}

TEST(Manifest, the_tail_alone_tells_entries_and_bytes) {
  const std::string text = written(sample());
  const auto summary = parse_manifest_tail(text.substr(text.size() - kManifestTailBytes));
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->entries, 3U);
  EXPECT_EQ(summary->bytes, 6U);
  for (const std::string bad :
       {"", "end 3 6", "x\nend 3\n", "x\nend 3 6 7\n", "x\nEND 3 6\n", "end 3 6\n"}) {
    EXPECT_FALSE(parse_manifest_tail(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace tare::snapshot
