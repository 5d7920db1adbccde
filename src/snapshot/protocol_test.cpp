#include "snapshot/protocol.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/wire.h"

namespace tare::snapshot {
namespace {

const std::string kDigest = sha256_text("layer");
const std::string kRun = "run_01jd8k3m5n7p9q1r3s5t7v9w1x";
constexpr TreeLimits kLimits = {.max_entries = 1, .max_bytes = 2, .max_file_bytes = 3};

// One of each, in the order of the variant.
const model::ImageConfig kConfig = {.entrypoint = {"/e"},
                                    .cmd = {"\n", ""},
                                    .env = {"A=\xc3\xbc"},
                                    .user = "node",
                                    .uid = 1,
                                    .gid = 2,
                                    .workdir = "/w"};

std::vector<Request> requests() {
  return {
      Hello{1, "0.1.0"},
      ImportTar{kLimits, 5},
      ImportFiles{7, FilesOf::runner},
      FileChunk{{{"bin/run", 0755}, {"data.csv", 0644}}},
      Collect{kRun, 100'000, 65'536, kLimits, 9},
      Freeze{
          {kDigest}, 100'000, 65'536, {"etc/hostname", "tmp"}, {"tmp"}, true, kDigest, kLimits, 9},
      VerifyLayer{kDigest},
      StatLayer{kDigest},
      RemoveLayer{kDigest},
      ListLayers{kDigest},
      RemoveRun{kRun},
      OpenManifest{kDigest},
      OpenFile{kDigest, "etc/\xff name"},
      Flatten{{kDigest, kDigest}, 1, kLimits, 9, {"var"}, true, true},
      ImportImage{ImageFormat::image, "linux/arm64", "app:1", kLimits, 9},
      ExportImage{{kDigest}, ExportFormat::docker, kConfig, "app:1", 9},
      ListStrays{},
      SearchLayers{{kDigest}, kConfig, true, 9}};
}

std::vector<Reply> replies() {
  Collected collected{
      .files = 1, .folders = 2, .links = 3, .bytes = 4, .skipped = {1, 0, 0, 1, 0, 0}, .skips = {}};
  collected.skips = {{SkipReason::special, "pipe"}, {SkipReason::bad_name, "\xff\n"}};
  return {Hello{1, "0.1.0"},
          Progress{1, 2, true},
          Imported{{kDigest, 1, 2}, true, {3, 4, 5}, {"var"}},
          collected,
          Verified{false, "differs"},
          LayerInfo{kDigest, 1, 2},
          LayerPage{{{kDigest, 1, 2}, {kDigest, 3, 4}}, true},
          Done{},
          Failed{Errc::exhausted, "too much", 28},
          Opened{7},
          ImageImported{{{kDigest, 1, 2}}, ImageKind::oci, kConfig, {3, 4, 5}},
          Exported{7, kDigest},
          Strays{{"layers/junk", "\xff"}, 3}};
}

TEST(StoreProtocol, every_request_comes_back_as_it_was) {
  ASSERT_EQ(requests().size(), std::variant_size_v<Request>);
  for (const Request& request : requests()) {
    const auto bytes = encode(request);
    ASSERT_TRUE(bytes.ok());
    const auto back = decode_request(*bytes);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(*back, request);
  }
}

TEST(StoreProtocol, every_reply_comes_back_as_it_was) {
  ASSERT_EQ(replies().size(), std::variant_size_v<Reply>);
  for (const Reply& reply : replies()) {
    const auto bytes = encode(reply);
    ASSERT_TRUE(bytes.ok());
    const auto back = decode_reply(*bytes);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(*back, reply);
  }
}

TEST(StoreProtocol, a_message_cut_short_or_too_long_is_refused) {
  for (const Request& request : requests()) {
    const std::string bytes = *encode(request);
    for (std::size_t n = 0; n < bytes.size(); ++n)
      EXPECT_FALSE(decode_request(bytes.substr(0, n)).ok()) << n;
    EXPECT_FALSE(decode_request(bytes + '\0').ok());
  }
}

TEST(StoreProtocol, what_decodes_encodes_to_the_same_bytes) {
  SeededRandom random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = *encode(requests()[random.below(std::variant_size_v<Request>)]);
    for (std::uint64_t i = 0, n = 1 + random.below(3); i < n; ++i) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    const auto request = decode_request(bytes);
    if (request) {
      EXPECT_EQ(*encode(*request), bytes);
    }
  }
}

TEST(StoreProtocol, names_that_become_paths_are_checked_before_anything_is_done) {
  const auto refused = [](const Request& request) {
    return !decode_request(*encode(request)).ok();
  };
  for (const std::string bad :
       {"", "..", "run_../../../../etc/passwd", "/etc", "run_01JD8K3M5N7P9Q1R3S5T7V9W1X", "run_"}) {
    EXPECT_TRUE(refused(RemoveRun{bad})) << bad;
    EXPECT_TRUE(refused(Collect{bad, 0, 1, kLimits, 1})) << bad;
    EXPECT_TRUE(refused(RemoveLayer{bad})) << bad;
    EXPECT_TRUE(refused(VerifyLayer{bad})) << bad;
    EXPECT_TRUE(refused(StatLayer{bad})) << bad;
  }
  for (const std::string bad : {"", "..", "/etc", "a/../b", "a//b", "./a"}) {
    EXPECT_TRUE(refused(OpenFile{kDigest, bad})) << bad;
  }
  EXPECT_TRUE(refused(OpenFile{kDigest.substr(1), "a"}));
  EXPECT_TRUE(refused(OpenManifest{"../" + kDigest.substr(3)}));
  EXPECT_TRUE(refused(ListLayers{".."}));
  EXPECT_TRUE(refused(FileChunk{{{"f", 04755}}})) << "permission bits only";
  EXPECT_TRUE(refused(FileChunk{}));
  EXPECT_TRUE(refused(ImportFiles{0}));
  EXPECT_TRUE(refused(ImportTar{kLimits, 0}));
}

TEST(StoreProtocol, the_largest_messages_fit_one_packet) {
  constexpr std::size_t kPacket = 192 * 1024;
  FileChunk chunk;
  chunk.files.assign(kMaxFilesPerChunk, {std::string(1024, 'p'), 0644});
  EXPECT_LE(encode(Request(chunk))->size(), kPacket);
  Collected collected;
  collected.skips.assign(kMaxListedSkips,
                         {SkipReason::special, std::string(kMaxSkippedPathBytes, 'p')});
  EXPECT_LE(encode(Reply(collected))->size(), kPacket);
  LayerPage page;
  page.layers.assign(kMaxLayersPerPage, {kDigest, 1, 2});
  EXPECT_LE(encode(Reply(page))->size(), kPacket);
  chunk.files.push_back({"one more", 0644});
  EXPECT_FALSE(encode(Request(chunk)).ok());
}

TEST(StoreProtocol, an_error_survives_the_way) {
  const Error error{Errc::conflict, "already there", 17};
  const Error back = error_of(failed(error));
  EXPECT_EQ(back.code, error.code);
  EXPECT_EQ(back.message, error.message);
  EXPECT_EQ(back.sys, error.sys);
  EXPECT_EQ(failed(Error{Errc::internal, std::string(100'000, 'x')}).message.size(),
            kMaxFailureBytes);
}

}  // namespace
}  // namespace tare::snapshot
