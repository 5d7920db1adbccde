// Layers that are there, and what comes in from outside, searched for secrets; and that each layer
// is read once for a set of them.
#include "snapshot/layer_search.h"

#include <gmock/gmock.h>

#include "snapshot/layer_mark.h"
#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

using test::as_file;
using test::kLimits;
using test::small_tar;
using test::tar_of;
using test::why;

const std::string kSecret = "sk-T0p/Secret+Value:42", kOther = "another-secret-of-mine";

NeedleSet set_of(const std::vector<std::string>& values) {
  NeedleSet set;
  for (const std::string& value : values)
    set.needles.push_back({value == kSecret ? "key" : "other", value});
  set.id = needle_set_id(set.needles, "a key of tared's");
  return set;
}

class LayerSearchTest : public test::RunningStore {
 protected:
  Result<Done> search(std::vector<std::string> layers, const std::vector<std::string>& values,
                      bool anew = false, const model::ImageConfig& config = {}) {
    StoreClient c = client();
    const sys::UniqueFd secrets = as_file(encode_needles(set_of(values)).value());
    const int fds[] = {secrets.get()};
    return expect<Done>(c.call(
        SearchLayers{
            .layers = std::move(layers), .config = config, .anew = anew, .timeout_ms = 60'000},
        fds));
  }
  std::string layer_with(const std::string& content, const std::string& name = "etc-key") {
    StoreClient c = client();
    return import(c, tar_of({{.name = name, .content = content}}))->layer.digest;
  }
  static std::string folder_of(const std::string& digest) {
    return "store/layers/" + digest.substr(7) + "/";
  }
  std::string mark_of(const std::string& digest) const {
    return home_.read(folder_of(digest) + kMarkFile);
  }
  // As a disk would do it: one bit, its time as before.
  void damage(const std::string& digest) {
    const std::string file = folder_of(digest) + "root/etc-key";
    const std::int64_t mtime = home_.stat(file).st_mtim.tv_sec;
    std::string text = home_.read(file);
    text[0] = static_cast<char>(text[0] ^ 4);
    home_.write(file, text);
    ASSERT_TRUE(sys::set_mtime_at(home_.fd(), file, mtime).ok());
  }
};

TEST_F(LayerSearchTest, a_secret_in_any_layer_is_found_and_the_file_and_its_layer_are_named) {
  const std::string clean = layer_with("clean"), leaky = layer_with("KEY=" + kSecret);
  EXPECT_TRUE(search({clean}, {kSecret}).ok());
  for (const auto& layers : {std::vector{leaky, clean}, std::vector{clean, leaky}}) {
    const auto refused = search(layers, {kSecret, kOther});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().message,
                testing::StartsWith("the secret \"key\" is in \"etc-key\" of layer " + leaky));
  }
  EXPECT_TRUE(search({clean, leaky}, {kOther}).ok()) << "of what is no secret nothing is said";
  EXPECT_EQ(home_.read("log").find(kSecret), std::string::npos);
}

TEST_F(LayerSearchTest, a_layer_is_read_once_for_a_set_and_again_for_another_or_when_asked) {
  const std::string layer = layer_with("clean");
  ASSERT_TRUE(search({layer}, {kSecret}).ok());
  damage(layer);  // who reads it notices
  EXPECT_TRUE(search({layer}, {kSecret}).ok()) << "it was not read again";
  for (const auto& refused : {search({layer}, {kSecret}, true), search({layer}, {kSecret, kOther}),
                              search({layer}, {kOther})}) {
    ASSERT_FALSE(refused.ok()) << "and it has no mark for these";
    EXPECT_THAT(why(refused), testing::HasSubstr("is damaged"));
  }
}

TEST_F(LayerSearchTest, what_was_searched_as_it_was_made_needs_no_second_look) {
  (void)home_.folder("upper");
  home_.write("upper/etc-key", "clean");
  StoreClient c = client();
  const sys::UniqueFd upper = home_.folder("upper"), opaque = as_file("");
  const sys::UniqueFd secrets = as_file(encode_needles(set_of({kSecret})).value());
  const int fds[] = {upper.get(), opaque.get(), secrets.get()};
  const std::string layer = expect<Imported>(c.call(freeze_of(), fds))->layer.digest;
  damage(layer);
  EXPECT_TRUE(search({layer}, {kSecret}).ok());
  EXPECT_FALSE(search({layer}, {kOther}).ok());
}

TEST_F(LayerSearchTest, a_mark_counts_for_its_own_layer_alone_and_a_torn_one_for_none) {
  const std::string clean = layer_with("clean"), leaky = layer_with("KEY=" + kSecret);
  ASSERT_TRUE(search({clean}, {kSecret}).ok());
  const std::string mark = mark_of(clean);
  EXPECT_EQ(mark.size(), kMarkBytes);
  home_.write(folder_of(leaky) + kMarkFile, mark, 0600);
  EXPECT_FALSE(search({leaky}, {kSecret}).ok());
  damage(clean);
  for (const std::string& torn : {mark.substr(0, 64), mark.substr(0, 10), std::string(65, '\0'),
                                  std::string(), mark + mark}) {
    home_.write(folder_of(clean) + kMarkFile, torn, 0600);
    EXPECT_FALSE(search({clean}, {kSecret}).ok()) << torn.size();
  }
  home_.write(folder_of(clean) + kMarkFile, mark, 0600);
  EXPECT_TRUE(search({clean}, {kSecret}).ok());
}

TEST_F(LayerSearchTest, marks_take_one_small_file_a_layer_and_go_with_it) {
  const std::string layer = layer_with("clean");
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(search({layer}, {kSecret, kOther + std::to_string(i)}).ok());
  EXPECT_EQ(sys::list_dir(home_.fd(), folder_of(layer))->size(), 3U);
  EXPECT_EQ(mark_of(layer).size(), kMarkBytes);
  expect_only_whole_layers();  // it belongs there
  StoreClient c = client();
  EXPECT_TRUE(expect<Strays>(c.call(ListStrays{}))->paths.empty());
  ASSERT_TRUE(expect<Done>(c.call(RemoveLayer{layer})).ok());
  EXPECT_FALSE(home_.has(folder_of(layer)));
}

TEST_F(LayerSearchTest, what_comes_in_is_searched_before_it_is_a_layer) {
  const sys::UniqueFd secrets = as_file(encode_needles(set_of({kSecret})).value());
  const auto rewound = [&] {
    CHECK(::lseek(secrets.get(), 0, SEEK_SET) == 0);
    return secrets.get();
  };
  const auto expect_refused = [&](const auto& reply, const std::string& place) {
    ASSERT_FALSE(reply.ok()) << place;
    EXPECT_EQ(reply.error().code, Errc::conflict);
    EXPECT_THAT(reply.error().message,
                testing::StartsWith("the secret \"key\" is in \"" + place + "\""));
    EXPECT_TRUE(sys::list_dir(home_.fd(), "store/layers")->empty());
    EXPECT_TRUE(staged().empty());
  };
  const std::string archive = tar_of({{.name = "srv-env", .content = "K=" + kSecret}});
  for (const bool image : {false, true}) {
    StoreClient c = client();
    const sys::UniqueFd file = as_file(archive);
    const int fds[] = {file.get(), rewound()};
    const Request request = image ? Request(ImportImage{.limits = kLimits, .timeout_ms = 60'000})
                                  : Request(ImportTar{kLimits, 60'000});
    expect_refused(c.call(request, fds), "srv-env");
  }
  StoreClient c = client();
  const std::vector<FileItem> items = {{"main.py", 0644}};
  const sys::UniqueFd file = as_file("key = '" + kSecret + "'");
  const int fds[] = {file.get()};
  expect_refused(c.import_files(FilesOf::runner, items, fds, rewound()), "main.py");
}

TEST_F(LayerSearchTest, what_an_image_says_of_its_programs_is_searched_too) {
  const auto refused = search({}, {kSecret}, false, {.env = {"A=b", "TOKEN=" + kSecret}});
  EXPECT_THAT(why(refused), testing::HasSubstr("configuration (env \"TOKEN\")"));
  EXPECT_THAT(why(refused), testing::Not(testing::HasSubstr(kSecret)));
  EXPECT_FALSE(search({}, {kSecret}, false, {.entrypoint = {"/bin/x", "--key", kSecret}}).ok());
  EXPECT_FALSE(search({}, {kSecret}, false, {.env = {kSecret + "=1"}}).ok());
  EXPECT_TRUE(search({}, {kOther}, false, {.env = {"TOKEN=" + kSecret}}).ok());
}

}  // namespace
}  // namespace tare::snapshot
