#include "snapshot/flatten.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "snapshot/test_overlay.h"
#include "snapshot/test_service.h"
#include "snapshot/tree_diff.h"

namespace tare::snapshot {
namespace {

namespace fs = std::filesystem;
using test::as_file;
using test::kRoomy;
using test::manifest_of;
using test::why;

class FlattenTest : public test::OverlayTest {
 protected:
  std::vector<Manifest> manifests() const {
    std::vector<Manifest> all;
    for (std::size_t i = 0; i < layers_; ++i)
      all.push_back(parse_manifest(manifest_of(open(layer(i)).get())).value());
    return all;
  }
  // The layers above `kept` as one, on the disk; its manifest.
  Manifest flatten(std::size_t kept) {
    const FlatTree tree = flat_tree(manifests(), kept);
    std::vector<sys::UniqueFd> roots;
    for (std::size_t i = 0; i < layers_; ++i) roots.push_back(open(layer(i)));
    fs::remove_all(path("flat"));
    TreeWriter writer(dir_.folder("flat"), kRoomy);
    EXPECT_EQ(why(write_flat(tree, roots, writer, nullptr)), "");
    Manifest made = parse_manifest(manifest_of(open(path("flat")).get())).value();
    EXPECT_EQ(digest_of(tree).value(), made.summary.digest);
    return made;
  }
  static Manifest manifest_of_tree(const FlatTree& tree) {
    std::string text;
    ManifestWriter writer([&](std::string_view more) {
      text += more;
      return ok();
    });
    for (const auto& [path, one] : tree) EXPECT_TRUE(writer.add(one.entry).ok());
    EXPECT_TRUE(writer.finish().ok());
    return parse_manifest(text).value();
  }
  // What is shown by the lowest `kept` and it.
  std::string shown_flat(std::size_t kept) {
    std::vector<fs::path> which;
    for (std::size_t i = 0; i < kept; ++i) which.push_back(layer(i));
    which.push_back(path("flat"));
    return shown(which);
  }
};

TEST_F(FlattenTest, random_chains_show_the_same_whichever_part_of_them_is_flat) {
  start_random_edits();
  for (int round = 0; round < 8; ++round) {
    open_upper();
    edit_at_random();
    freeze();
    const std::string whole = shown();
    const std::size_t kept = 1 + pick(layers_ - 1);
    const Manifest flat = flatten(kept);
    ASSERT_EQ(shown_flat(kept), whole) << "round " << round << ", kept " << kept;
    // And so say the manifests.
    MergedTree chain, two;
    const auto all = manifests();
    for (const Manifest& one : all) chain.lay(one);
    for (std::size_t i = 0; i < kept; ++i) two.lay(all[i]);
    two.lay(flat);
    EXPECT_TRUE(diff_trees(chain.seen(), two.seen()).empty());
  }
}

// So a flat layer can be held against the layers that it stands for, whatever became of it on the
// way.
TEST_F(FlattenTest, what_was_made_flat_in_turns_is_what_it_would_be_at_once) {
  start_random_edits();
  open_upper();
  edit_at_random();
  freeze();
  Manifest flat = flatten(1);
  std::size_t depth = layers_;
  for (int round = 0; round < 12; ++round) {
    for (std::size_t more = 1 + pick(2); more > 0; --more) {
      open_upper();
      edit_at_random();
      freeze();
    }
    const auto all = manifests();
    std::vector<Manifest> in_turns = {all[0], flat};
    in_turns.insert(in_turns.end(), all.begin() + static_cast<std::ptrdiff_t>(depth), all.end());
    ASSERT_EQ(digest_of(flat_tree(in_turns, 1)).value(), digest_of(flat_tree(all, 1)).value())
        << "round " << round;
    if (pick(2) == 0) continue;
    flat = manifest_of_tree(flat_tree(in_turns, 1));
    depth = layers_;
  }
}

TEST_F(FlattenTest, a_folder_that_was_hidden_and_made_again_hides_what_the_kept_layers_have) {
  fs::create_directories(layer(0) / "a/deep");
  write(layer(0) / "a/old", "old");
  open_upper();
  fs::remove_all(merged() / "a");
  freeze();
  open_upper();
  fs::create_directories(merged() / "a");
  write(merged() / "a/new", "new");
  freeze();
  const std::string whole = shown();
  flatten(1);
  EXPECT_EQ(shown_flat(1), whole);
  const std::string text = manifest_of(open(path("flat")).get());
  EXPECT_THAT(text, testing::HasSubstr("\nw a/deep\n"));
  EXPECT_THAT(text, testing::HasSubstr("\nw a/old\n"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("\nw a\n")));
}

TEST_F(FlattenTest, what_came_and_went_above_leaves_nothing) {
  write(layer(0) / "kept", "x");
  open_upper();
  write(merged() / "came", "x");
  freeze();
  open_upper();
  fs::remove(merged() / "came");
  freeze();
  EXPECT_EQ(flatten(1).entries.size(), 1U) << "the root alone";
}

TEST_F(FlattenTest, what_is_left_out_is_in_it_neither_as_itself_nor_as_a_whiteout) {
  fs::create_directories(layer(0) / "var/tmp");
  write(layer(0) / "var/tmp/old", "x");
  write(layer(0) / "var/other", "x");
  open_upper();
  write(merged() / "var/tmp/new", "x");
  write(merged() / "kept", "x");
  fs::remove(merged() / "var/tmp/old");
  freeze();
  const FlatTree tree = flat_tree(manifests(), 1, {"var"});
  EXPECT_EQ(tree.size(), 2U) << "the root, and kept";
  EXPECT_TRUE(tree.contains("kept"));
}

class FlattenStoreTest : public test::RunningStore {
 protected:
  std::string layer_of(int round) {
    (void)sys::remove_tree_at(home_.fd(), "upper");
    const sys::UniqueFd upper = home_.folder("upper"), opaque = as_file(""), none = as_file("");
    home_.write("upper/common", "round " + std::to_string(round));
    home_.write("upper/own-" + std::to_string(round), "x");
    const int fds[] = {upper.get(), opaque.get(), none.get()};
    StoreClient c = client();
    return expect<Imported>(c.call(freeze_of(), fds)).value().layer.digest;
  }
  Result<Imported> flatten(const std::vector<std::string>& layers, std::uint32_t kept) {
    StoreClient c = client();
    return expect<Imported>(c.call(Flatten{layers, kept, test::kLimits, 60'000}));
  }
};

TEST_F(FlattenStoreTest, the_store_makes_one_layer_of_many_and_the_same_one_each_time) {
  std::vector<std::string> layers;
  for (int i = 0; i < 5; ++i) layers.push_back(layer_of(i));
  Flatten asked{layers, 1, test::kLimits, 60'000};
  asked.only_digest = true;
  StoreClient c = client();
  const auto would = expect<Imported>(c.call(asked));
  ASSERT_TRUE(would.ok()) << would.error().message;
  const auto there = expect<LayerInfo>(c.call(StatLayer{would->layer.digest}));
  EXPECT_EQ(there.error().code, Errc::not_found) << "nothing is made";
  const auto flat = flatten(layers, 1);
  ASSERT_TRUE(flat.ok()) << flat.error().message;
  EXPECT_EQ(flat->layer.entries, 5U) << "four of their own, one in common";
  EXPECT_EQ(flat->layer.digest, would->layer.digest);
  const auto again = flatten(layers, 1);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->reused);
  EXPECT_EQ(again->layer, flat->layer);
  expect_only_whole_layers();
}

// A session on `host`: what lies below its layers is no layer.
TEST_F(FlattenStoreTest, over_a_tree_that_is_no_layer_what_hides_something_of_it_is_kept) {
  const sys::UniqueFd base = home_.folder("base");
  home_.write("base/of_the_host", "x");
  (void)home_.folder("base/emptied");
  home_.write("base/emptied/was", "x");
  const sys::UniqueFd upper = home_.folder("upper"), none = as_file("");
  const sys::UniqueFd opaque = as_file(std::string("emptied\0", 8));
  (void)home_.folder("upper/emptied");
  for (const char* gone : {"upper/of_the_host", "upper/never_was"})
    ASSERT_EQ(::mknod((fs::path(home_.path()) / gone).c_str(), S_IFCHR, 0), 0);
  StoreClient c = client();
  Freeze freeze = freeze_of();
  freeze.over_base = true;
  const int fds[] = {upper.get(), opaque.get(), none.get(), base.get()};
  const std::string frozen = expect<Imported>(c.call(freeze, fds)).value().layer.digest;
  // Another part of the same sandbox comes with the same file of opaque folders.
  EXPECT_EQ(expect<Imported>(c.call(freeze, fds)).value().layer.digest, frozen);
  const auto text = [&](const std::string& digest) {
    return home_.read("store/layers/" + digest.substr(7) + "/manifest");
  };
  EXPECT_THAT(text(frozen), testing::HasSubstr("\nw emptied/was\n"));
  EXPECT_THAT(text(frozen), testing::HasSubstr("\nw of_the_host\n"));
  EXPECT_THAT(text(frozen), testing::Not(testing::HasSubstr("never_was")));
  const std::string other = layer_of(0);
  const int one[] = {base.get()};
  const auto flat = expect<Imported>(
      c.call(Flatten{{frozen, other}, 0, test::kLimits, 60'000, {}, true}, one));
  ASSERT_TRUE(flat.ok()) << flat.error().message;
  const std::string shown = text(flat->layer.digest);
  EXPECT_THAT(shown, testing::HasSubstr("\nw emptied/was\n"));
  EXPECT_THAT(shown, testing::HasSubstr("\nw of_the_host\n"));
  EXPECT_THAT(shown, testing::HasSubstr(" own-0\n"));
}

TEST_F(FlattenStoreTest, a_damaged_layer_is_not_made_to_look_sound) {
  const std::vector<std::string> layers = {layer_of(0), layer_of(1), layer_of(2)};
  home_.write("store/layers/" + layers[2].substr(7) + "/root/own-2", "y");
  EXPECT_THAT(why(flatten(layers, 1)), testing::HasSubstr("not as its manifest says"));
  EXPECT_TRUE(staged().empty());
}

TEST_F(FlattenStoreTest, a_layer_that_is_not_there_and_a_swapped_manifest_are_refused) {
  const std::vector<std::string> layers = {layer_of(0), layer_of(1)};
  EXPECT_EQ(flatten({layers[0], sha256_text("none")}, 1).error().code, Errc::not_found);
  home_.write("store/layers/" + layers[1].substr(7) + "/manifest",
              home_.read("store/layers/" + layers[0].substr(7) + "/manifest"), 0600);
  EXPECT_THAT(why(flatten(layers, 0)), testing::HasSubstr("its manifest is damaged"));
  EXPECT_TRUE(staged().empty());
}

}  // namespace
}  // namespace tare::snapshot
