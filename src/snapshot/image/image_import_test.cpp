// What an image costs is bounded, whatever it says; what a whole store does with images:
// tests/e2e/images_test.py, images_attacks_test.py.
#include "snapshot/image/image_import.h"

#include <gmock/gmock.h>

#include "base/hash.h"
#include "snapshot/image/layer_apply.h"
#include "snapshot/test_support.h"
#include "snapshot/unpacker.h"

namespace tare::snapshot {
namespace {

using test::pax_header;
using test::pax_record;
using test::tar_end;
using test::tar_entry;
using test::tar_of;
using test::TarEntry;
using test::TempDir;
using test::why;
using testing::HasSubstr;

constexpr TreeLimits kSmall = {.max_entries = 100, .max_bytes = 4 << 20, .max_file_bytes = 1 << 20};

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

// An OCI layout as an archive.
class Layout {
 public:
  std::string blob(const std::string& content, std::string_view type) {
    const std::string digest = sha256_text(content);
    const std::string name = "blobs/sha256/" + digest.substr(digest.find(':') + 1);
    if (names_.insert(name).second) entries_ += tar_entry({.name = name, .content = content});
    return R"({"mediaType":"application/vnd.oci.image.)" + std::string(type) +
           R"(.v1+json","digest":)" + in_quotes(digest) + R"(,"size":)" +
           std::to_string(content.size()) + "}";
  }
  std::string layer(const std::string& content) {
    std::string text = blob(content, "layer");
    return text.replace(text.find(".v1+json"), 8, ".v1.tar");
  }
  std::string archive(const std::vector<std::string>& layers) {
    std::string diff_ids, list;
    for (const std::string& content : layers) {
      diff_ids += (diff_ids.empty() ? "" : ",") + in_quotes(sha256_text(content));
      list += (list.empty() ? "" : ",") + layer(content);
    }
    const std::string config = blob(
        R"({"architecture":)" + in_quotes(own_platform().architecture) +
            R"(,"os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[)" + diff_ids +
            "]}}",
        "config");
    const std::string manifest = blob(
        R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + list + "]}", "manifest");
    return entries_ +
           tar_entry({.name = "oci-layout", .content = R"({"imageLayoutVersion":"1.0.0"})"}) +
           tar_entry({.name = "index.json",
                      .content = R"({"schemaVersion":2,"manifests":[)" + manifest + "]}"}) +
           tar_end();
  }

 private:
  std::string entries_;
  std::set<std::string> names_;
};

std::string imported(const std::vector<std::string>& layers, const TreeLimits& limits = kSmall) {
  const TempDir stage;
  const sys::UniqueFd archive = test::as_file(Layout().archive(layers));
  return why(import_image(archive.get(), stage.fd(), ImageFormat::any, {}, limits, nullptr));
}

// Of GNU sparse format 1.0: a hole and nothing else.
std::string hole(const std::string& name, std::uint64_t size) {
  return pax_header(pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") +
                    pax_record("GNU.sparse.name", name) +
                    pax_record("GNU.sparse.realsize", std::to_string(size))) +
         tar_entry({.name = name, .content = test::padded("1\n" + std::to_string(size) + "\n0\n")});
}

TEST(ImageImport, a_layer_may_be_longer_than_a_file) {
  TARE_NEEDS_ROOT();
  std::vector<TarEntry> files;
  for (const char* name : {"a", "b", "c"})
    files.push_back({.name = name, .content = std::string(kSmall.max_file_bytes, 'x')});
  const std::string layer = tar_of(files);
  ASSERT_GT(layer.size(), 2 * kSmall.max_file_bytes);
  EXPECT_EQ(imported({layer}), "");
  files.push_back({.name = "d", .content = std::string(kSmall.max_file_bytes + 1, 'x')});
  EXPECT_THAT(imported({tar_of(files)}), HasSubstr("too long"));
}

TEST(ImageImport, a_plain_tree_has_no_file_as_long_as_a_layer_may_be) {
  TARE_NEEDS_ROOT();
  const TempDir stage;
  const std::string tree = tar_of(
      {{.name = "a", .content = std::string(kSmall.max_file_bytes + 1, 'x')}});
  const sys::UniqueFd archive = test::as_file(tree);
  EXPECT_THAT(why(import_image(archive.get(), stage.fd(), ImageFormat::any, {}, kSmall, nullptr)),
              HasSubstr("too long"));
}

TEST(ImageImport, holes_count_as_what_it_takes_to_read_them) {
  TARE_NEEDS_ROOT();
  std::string layer;
  for (const char* name : {"a", "b", "c", "d"}) layer += hole(name, kSmall.max_file_bytes);
  EXPECT_EQ(imported({layer + tar_end()}), "");
  EXPECT_THAT(imported({layer + hole("e", 1) + tar_end()}), HasSubstr("too many bytes in all"));
  // And over the layers of an image.
  EXPECT_THAT(imported({layer + tar_end(), hole("e", 1) + tar_end()}),
              HasSubstr("too many bytes in all"));
}

TEST(ImageImport, a_layer_that_is_named_again_and_again_is_not_read_without_end) {
  TARE_NEEDS_ROOT();
  // Zeros behind the end of a tar are part of it.
  const std::string layer = tar_of({{.name = "a", .content = "a"}}) +
                            std::string(stream_limit(kSmall) / 3, '\0');
  EXPECT_EQ(imported({layer, layer}), "");
  EXPECT_THAT(imported({layer, layer, layer}), HasSubstr("longer than its limits allow"));
}

TEST(ImageImport, what_an_unpacker_says_of_layers_counts_for_nothing) {
  ImageImported said;
  said.kind = ImageKind::oci;
  said.layers.push_back({sha256_text("somebody else's"), 1, 1});
  EXPECT_TRUE(believed(said).layers.empty());
  EXPECT_EQ(believed(said).kind, ImageKind::oci);
}

// ---- whiteouts

struct Deep {
  static constexpr int kFolders = 100, kFiles = 1000;

  Deep() {
    for (int i = 0; i < kFolders; ++i) path += "d/";
    const sys::UniqueFd root = below.folder("root");
    TreeWriter writer(sys::open_at(root.get(), ".", O_RDONLY | O_DIRECTORY).value(), test::kRoomy);
    for (int i = 0; i < kFiles; ++i) {
      const std::string name = std::to_string(i);
      auto file = writer.begin_file(path + name).value();
      CHECK(writer.finish_file(file, 0, {}).ok());
      layer += pax_header(pax_record("path", path + ".wh." + name)) + tar_entry({.name = "x"});
    }
    layer += tar_end();
  }
  std::string hidden(std::uint64_t steps) {
    const TempDir own;
    LookupBudget budget{steps};
    std::vector<sys::UniqueFd> roots;
    roots.push_back(below.folder("root"));
    const LowerView lower(std::move(roots), &budget);
    const sys::UniqueFd blob = test::as_file(layer);
    const LayerBlob packed{.fd = blob.get(),
                           .compression = Compression::any,
                           .diff_id = sha256_text(layer),
                           .max_stream_bytes = layer.size()};
    return why(apply_layer(packed, own.fd(), lower, test::kRoomy, nullptr));
  }

  TempDir below;
  std::string path, layer;
};

TEST(LayerApply, a_way_is_gone_once_for_all_whiteouts_in_a_folder) {
  TARE_NEEDS_ROOT();
  // Once the way (each folder on it is looked up from the root), and a look at each name.
  constexpr std::uint64_t kWay = Deep::kFolders * Deep::kFolders;
  constexpr std::uint64_t kNames = Deep::kFiles * (Deep::kFolders + 2);
  Deep deep;
  EXPECT_EQ(deep.hidden(2 * kWay + 2 * kNames), "");
}

TEST(LayerApply, what_it_takes_to_look_below_is_bounded) {
  TARE_NEEDS_ROOT();
  Deep deep;
  EXPECT_THAT(deep.hidden(Deep::kFiles * Deep::kFolders / 2), HasSubstr("above too many layers"));
}

}  // namespace
}  // namespace tare::snapshot
