// Layers that somebody has meddled with (ATTACKS S39), against the real tare-store.
#include <gmock/gmock.h>

#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

using test::as_file;
using test::small_tar;

class ForgedTest : public test::RunningStore {
 protected:
  std::string layer() {
    StoreClient c = client();
    return import(c, small_tar(3, "content")).value().layer.digest;
  }
  std::string path_of(const std::string& digest) const {
    return "store/layers/" + digest.substr(7);
  }
  Verified verify(const std::string& digest) {
    StoreClient c = client();
    return expect<Verified>(c.call(VerifyLayer{digest})).value();
  }
  // As it was, time included.
  void rewrite(const std::string& file, std::string_view text) {
    const struct stat was = home_.stat(file);
    home_.write(file, text, was.st_mode & 07777);
    const sys::UniqueFd fd = sys::open_at(home_.fd(), file, O_RDONLY).value();
    ASSERT_TRUE(sys::set_mtime_fd(fd.get(), was.st_mtim.tv_sec).ok());
  }
};

TEST_F(ForgedTest, S39_a_flipped_bit_and_a_truncated_file_are_found_and_named) {
  const std::string digest = layer(), file = path_of(digest) + "/root/d/1";
  EXPECT_TRUE(verify(digest).intact);
  for (const std::string_view text : {"contenT", "conten", "", "content "}) {
    rewrite(file, text);
    const Verified found = verify(digest);
    EXPECT_FALSE(found.intact) << text;
    EXPECT_THAT(found.difference, testing::HasSubstr(" d/1\"")) << text;
  }
  rewrite(file, "content");
  EXPECT_TRUE(verify(digest).intact);
}

TEST_F(ForgedTest, S39_a_forged_layer_is_found_even_if_its_manifest_fits_it) {
  const std::string digest = layer();
  StoreClient c = client();
  const std::string other = import(c, small_tar(3, "CONTENT")).value().layer.digest;
  for (const char* file : {"/root/d/0", "/root/d/1", "/root/d/2"})
    rewrite(path_of(digest) + file, "CONTENT");
  rewrite(path_of(digest) + "/manifest", home_.read(path_of(other) + "/manifest"));
  EXPECT_FALSE(verify(digest).intact) << "its name is the digest, and says otherwise";
  // Cut short, it is listed, so that a sweep can remove it.
  rewrite(path_of(digest) + "/manifest", "tare-manifest 1\n");
  EXPECT_FALSE(verify(digest).intact);
  const auto page = expect<LayerPage>(c.call(ListLayers{}));
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_EQ(page->layers.size(), 2U);
  EXPECT_TRUE(expect<Done>(c.call(RemoveLayer{digest})).ok());
}

TEST_F(ForgedTest, S39_a_hole_and_a_page_of_zeros_are_the_same_file) {
  const auto freeze = [this](bool hole) {
    (void)sys::remove_tree_at(home_.fd(), "upper");
    const sys::UniqueFd upper = home_.folder("upper"), none = as_file(""), opaque = as_file("");
    const sys::UniqueFd file = sys::open_at(upper.get(), "f", O_WRONLY | O_CREAT, 0600).value();
    CHECK(sys::write_all(file.get(), "x").ok());
    const std::string zeros(8192, '\0');
    if (!hole) CHECK(sys::write_at(file.get(), std::as_bytes(std::span(zeros)), 4096).ok());
    CHECK(sys::truncate_fd(file.get(), 12'288).ok());
    CHECK(sys::set_mtime_fd(file.get(), 1'700'000'000).ok());
    CHECK(sys::set_mtime_fd(upper.get(), 1'700'000'000).ok());
    StoreClient c = client();
    const int fds[] = {upper.get(), opaque.get(), none.get()};
    return expect<Imported>(c.call(freeze_of(), fds)).value().layer.digest;
  };
  const std::string with_hole = freeze(true);
  EXPECT_EQ(freeze(false), with_hole);
  rewrite(path_of(with_hole) + "/root/f", "x" + std::string(12'287, '\0'));
  EXPECT_TRUE(verify(with_hole).intact);
}

TEST_F(ForgedTest, S39_what_is_damaged_is_not_exported_as_if_it_were_whole) {
  const std::string whole = layer();
  const auto exported = [&] {
    const sys::UniqueFd out = as_file("");
    const int fds[] = {out.get()};
    StoreClient c = client();
    const ExportImage wanted{.layers = {whole}, .timeout_ms = 60'000};
    return expect<Exported>(c.call(wanted, fds));
  };
  ASSERT_TRUE(exported().ok());
  for (const std::string& file : {std::string("/manifest"), std::string("/root/d/1")}) {
    const std::string text = home_.read(path_of(whole) + file);
    std::string flipped = text;
    flipped[0] = static_cast<char>(flipped[0] ^ 1);
    rewrite(path_of(whole) + file, flipped);
    EXPECT_THAT(test::why(exported()), testing::HasSubstr("`tare env verify` tells more")) << file;
    rewrite(path_of(whole) + file, text);
  }
  EXPECT_TRUE(exported().ok());
}

TEST_F(ForgedTest, S39_a_parent_that_is_removed_meanwhile_is_an_error_and_leaves_nothing) {
  const std::string parent = layer();
  StoreClient remover = client();
  ASSERT_TRUE(expect<Done>(remover.call(RemoveLayer{parent})).ok());
  const sys::UniqueFd upper = home_.folder("upper"), none = as_file(""), opaque = as_file("");
  const int fds[] = {upper.get(), opaque.get(), none.get()};
  StoreClient c = client();
  EXPECT_EQ(c.call(freeze_of({parent}), fds).error().code, Errc::not_found);
  EXPECT_EQ(c.call(Flatten{{parent, parent}, 1, test::kLimits, 1000}).error().code,
            Errc::not_found);
  EXPECT_EQ(c.call(OpenManifest{parent}).error().code, Errc::not_found);
  EXPECT_TRUE(staged().empty());
}

}  // namespace
}  // namespace tare::snapshot
