// The order of writing that docs/store_format.md promises, as the real tare-store does it: told by
// a shim (tests/support/sync_shim.c) that stands between it and the kernel.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "snapshot/test_service.h"
#include "snapshot/tree_sync.h"

namespace tare::snapshot {
namespace {

using test::as_file;
using test::small_tar;

struct Call {
  std::string name, path, to;
};

class SyncOrderTest : public test::RunningStore {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    environment_ = {{"LD_PRELOAD", std::string(TARE_BIN_DIR) + "/tare-sync-shim.so"},
                    {"TARE_SYNCS", home_.path() + "/syncs"}};
    start();
  }
  // Since the last time.
  std::vector<Call> calls() {
    std::istringstream lines(home_.read("syncs"));
    std::vector<Call> all;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      Call call;
      words >> call.name >> call.path >> call.to;
      all.push_back(call);
    }
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(told_));
    told_ += all.size();
    return all;
  }
  std::string below_home(const std::string& path) const {
    return path.starts_with(home_.path()) ? path.substr(home_.path().size() + 1) : path;
  }
  // Where the layer came into being: its rename. npos: never.
  std::size_t published(const std::vector<Call>& all) const {
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].name == "rename" && all[i].to.find("/layers/") != std::string::npos) return i;
    return std::string::npos;
  }
  // The paths below its staging folder that were synced before, "" for that folder itself.
  std::set<std::string> synced_before(const std::vector<Call>& all, std::size_t end) const {
    std::set<std::string> paths;
    for (std::size_t i = 0; i < end; ++i)
      if (all[i].name == "sync" && all[i].path.starts_with(all[end].path))
        paths.insert(all[i].path.substr(all[end].path.size()));
    return paths;
  }
  // Both folders, after the rename and before the answer.
  void expect_folders_synced(const std::vector<Call>& all, std::size_t renamed) const {
    std::set<std::string> paths;
    for (std::size_t i = renamed; i < all.size() && all[i].name != "send"; ++i)
      if (all[i].name == "sync") paths.insert(below_home(all[i].path));
    EXPECT_THAT(paths, testing::IsSupersetOf({"store/layers", "store/staging"}));
  }

  std::size_t told_ = 0;
};

TEST_F(SyncOrderTest, all_of_a_small_layer_is_synced_then_renamed_then_both_folders_then_told) {
  StoreClient c = client();
  const sys::UniqueFd upper = home_.folder("upper"), opaque = as_file(""), none = as_file("");
  ASSERT_TRUE(sys::make_dir_at(upper.get(), "a", 0755).ok());
  home_.write("upper/a/one", "1");
  home_.write("upper/two", std::string(400'000, 'x'));
  ASSERT_TRUE(sys::make_symlink_at(upper.get(), "link", "two").ok());
  (void)calls();
  const int fds[] = {upper.get(), opaque.get(), none.get()};
  ASSERT_TRUE(expect<Imported>(c.call(freeze_of(), fds)).ok());
  const auto all = calls();
  const std::size_t renamed = published(all);
  ASSERT_NE(renamed, std::string::npos);
  EXPECT_THAT(synced_before(all, renamed), testing::ElementsAre("", "/manifest", "/root", "/root/a",
                                                                "/root/a/one", "/root/two"));
  expect_folders_synced(all, renamed);
}

TEST_F(SyncOrderTest, a_large_layer_is_synced_with_all_of_the_file_system) {
  StoreClient c = client();
  (void)calls();
  ASSERT_TRUE(import(c, small_tar(kSyncedOneByOne + 10, "x")).ok());
  const auto all = calls();
  const std::size_t renamed = published(all);
  ASSERT_NE(renamed, std::string::npos);
  const bool synced = std::any_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(renamed),
                                  [](const Call& call) { return call.name == "syncfs"; });
  EXPECT_TRUE(synced);
  expect_folders_synced(all, renamed);
}

// Who made it may have died before it was durable.
TEST_F(SyncOrderTest, a_layer_that_was_there_is_made_durable_before_it_is_told_again) {
  StoreClient c = client();
  const std::string archive = small_tar(3, "x");
  ASSERT_TRUE(import(c, archive).ok());
  (void)calls();
  const auto again = import(c, archive);
  ASSERT_TRUE(again.ok() && again->reused);
  const auto all = calls();
  EXPECT_EQ(published(all), std::string::npos);
  std::size_t last_progress = 0;  // the answer is the last message; before it may be others
  for (std::size_t i = 0; i + 1 < all.size(); ++i)
    if (all[i].name == "send") last_progress = i + 1;
  expect_folders_synced(all, last_progress);
}

TEST_F(SyncOrderTest, a_layer_is_gone_for_good_before_what_was_in_it_goes) {
  StoreClient c = client();
  const auto made = import(c, small_tar(3, "x"));
  ASSERT_TRUE(made.ok());
  (void)calls();
  ASSERT_TRUE(expect<Done>(c.call(RemoveLayer{made->layer.digest})).ok());
  std::vector<std::string> names;
  for (const Call& call : calls()) names.push_back(call.name + " " + below_home(call.path));
  EXPECT_THAT(names, testing::ElementsAre(testing::StartsWith("rename store/layers/"),
                                          "sync store/layers", testing::StartsWith("send ")));
}

}  // namespace
}  // namespace tare::snapshot
