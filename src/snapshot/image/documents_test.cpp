// The documents of images, right and wrong; which user is meant; which platform. What an archive
// with them does to the real store: tests/e2e/images_test.py, images_attacks_test.py.
#include "snapshot/image/documents.h"

#include <gmock/gmock.h>

#include "base/hash.h"
#include "snapshot/image/users.h"

namespace tare::snapshot {
namespace {

using testing::HasSubstr;

const std::string kDigest = sha256_text("x");

std::string descriptor(const std::string& type, const std::string& more = "") {
  return R"({"mediaType":")" + type + R"(","digest":")" + kDigest + R"(","size":1)" + more + "}";
}

std::string manifest(const std::string& config, const std::string& layers,
                     const std::string& more = "") {
  return R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]" + more + "}";
}

const std::string kConfig = descriptor("application/vnd.oci.image.config.v1+json");
const std::string kZstdLayer = descriptor("application/vnd.oci.image.layer.v1.tar+zstd");

template <class T>
std::string why(const Result<T>& result) {
  return result ? "" : result.error().message;
}

TEST(ImageDocuments, a_manifest_names_its_configuration_and_layers) {
  const std::string docker = descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip");
  const auto read = parse_image_manifest(
      manifest(kConfig, kZstdLayer + "," + docker, R"(,"annotations":null,"unknown":[])"));
  ASSERT_EQ(why(read), "");
  EXPECT_EQ(read->config.digest, kDigest);
  ASSERT_EQ(read->layers.size(), 2U);
  EXPECT_EQ(read->layers[0].type.compression, Compression::zstd);
  EXPECT_EQ(read->layers[1].type.compression, Compression::gzip);
}

TEST(ImageDocuments, an_index_names_manifests_with_platform_and_name) {
  const std::string entry = descriptor(
      std::string(kOciManifestType),
      R"(,"platform":{"os":"linux","architecture":"arm","variant":"v7"},)"
      R"("annotations":{"org.opencontainers.image.ref.name":"1.0","x":"y"})");
  const std::string other = descriptor("application/vnd.in-toto+json");
  const auto read = parse_image_index(R"({"schemaVersion":2,"manifests":[)" + entry + "," + other +
                                      "]}");
  ASSERT_EQ(why(read), "");
  ASSERT_EQ(read->entries.size(), 1U) << "what is no image is left out";
  EXPECT_EQ(read->entries[0].platform->text(), "linux/arm/v7");
  EXPECT_EQ(read->entries[0].reference, "1.0");
}

TEST(ImageDocuments, a_configuration_may_have_null_for_what_it_does_not_say) {
  const auto read = parse_image_document(
      R"({"architecture":"amd64","os":"linux","config":{"Cmd":["a"],"Entrypoint":null,)"
      R"("Env":null,"User":"","Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":[")" +
      kDigest + R"("]},"history":[]})");
  ASSERT_EQ(why(read), "");
  EXPECT_EQ(read->config, (model::ImageConfig{.cmd = {"a"}}));
  EXPECT_EQ(read->diff_ids, std::vector{kDigest});
}

TEST(ImageDocuments, of_a_variable_that_is_there_again_the_last_counts) {
  const auto read = parse_image_document(
      R"({"architecture":"amd64","os":"linux","config":{"Env":["A=1","B=2","A=3","a.b-c=4","B="]},)"
      R"("rootfs":{"type":"layers","diff_ids":[]}})");
  ASSERT_EQ(why(read), "");
  EXPECT_EQ(read->config.env, (std::vector<std::string>{"A=3", "a.b-c=4", "B="}));
}

TEST(ImageDocuments, wrong_ones_are_refused_by_name) {
  const std::string layers = manifest(kConfig, kZstdLayer, R"(,"manifests":[])");
  EXPECT_THAT(why(parse_image_manifest(layers)), HasSubstr("manifests"));
  EXPECT_THAT(why(parse_image_manifest(manifest(kZstdLayer, ""))), HasSubstr("config.mediaType"));
  EXPECT_THAT(why(parse_image_manifest(manifest(kConfig, kConfig))), HasSubstr("layers[0]"));
  EXPECT_THAT(why(parse_image_manifest(manifest(
                  kConfig, "", R"(,"mediaType":"application/vnd.oci.image.index.v1+json")"))),
              HasSubstr("mediaType"));
  EXPECT_THAT(why(parse_image_manifest("[]")), HasSubstr("image manifest"));
  EXPECT_THAT(why(parse_image_index(R"({"schemaVersion":2,"manifests":[{}]})")),
              HasSubstr("manifests[0]"));
  EXPECT_THAT(why(parse_image_index(R"({"schemaVersion":2,"manifests":[],"layers":[]})")),
              HasSubstr("layers"));
  EXPECT_THAT(why(parse_image_document(R"({"rootfs":{"type":"zip","diff_ids":[]}})")),
              HasSubstr("rootfs.type"));
  EXPECT_THAT(why(parse_saved_images("[]")), HasSubstr("manifest.json"));
  EXPECT_THAT(why(parse_saved_images(R"([{"Config":"","Layers":[]}])")), HasSubstr("[0].Config"));
  EXPECT_THAT(why(check_oci_layout(R"({"imageLayoutVersion":"2.0.0"})")), HasSubstr("oci-layout"));
}

TEST(ImageDocuments, sizes_and_counts_are_bounded) {
  std::string many = kZstdLayer;
  for (std::size_t i = 0; i < kMaxImageLayers; ++i) many += "," + kZstdLayer;
  EXPECT_THAT(why(parse_image_manifest(manifest(kConfig, many))), HasSubstr("layers"));
  const std::string large(kMaxImageDocumentBytes + 1, ' ');
  EXPECT_NE(why(parse_image_index(large)), "");
  const std::string deep = std::string(10'000, '[');
  EXPECT_NE(why(parse_image_index(deep)), "");
}

TEST(ImageUsers, are_numbers_or_names_of_the_image) {
  constexpr std::string_view kPasswd =
      "root:x:0:0:root:/root:/bin/sh\nbad line\nnode:x:1000:1001::/:\n77:x:5:6::/:\n:x:9:9::/:\n";
  constexpr std::string_view kGroup = "root:x:0:\nwww:x:33:node\n";
  const auto ids = [&](std::string_view user) { return ids_of_user(user, kPasswd, kGroup); };
  EXPECT_EQ(ids("").value(), (ImageIds{0, 0}));
  EXPECT_EQ(ids("node").value(), (ImageIds{1000, 1001}));
  EXPECT_EQ(ids("1000").value(), (ImageIds{1000, 1001})) << "its entry tells the group";
  EXPECT_EQ(ids("4242").value(), (ImageIds{4242, 0})) << "a number needs no entry";
  EXPECT_EQ(ids("77").value(), (ImageIds{5, 6})) << "a name that looks like a number";
  EXPECT_EQ(ids("node:www").value(), (ImageIds{1000, 33}));
  EXPECT_EQ(ids("0:44").value(), (ImageIds{0, 44}));
  for (const char* wrong : {"nobody", "node:staff", "-1", "65536", "0:65536", ":", "node:", "1 "})
    EXPECT_FALSE(ids(wrong).ok()) << wrong;
  EXPECT_FALSE(ids_of_user("root", "", "").ok());
}

TEST(ImagePlatform, is_written_as_os_and_architecture) {
  EXPECT_EQ(parse_platform("linux/amd64").value(), (Platform{"linux", "amd64", ""}));
  EXPECT_EQ(parse_platform("linux/arm/v7").value().text(), "linux/arm/v7");
  for (const char* wrong : {"", "linux", "linux/", "/amd64", "a/b/c/d", "Linux/amd64", "a//b"})
    EXPECT_FALSE(parse_platform(wrong).ok()) << wrong;
  EXPECT_TRUE((Platform{"linux", "arm", ""}).takes({"linux", "arm", "v7"}));
  EXPECT_FALSE((Platform{"linux", "arm", "v6"}).takes({"linux", "arm", "v7"}));
}

}  // namespace
}  // namespace tare::snapshot
