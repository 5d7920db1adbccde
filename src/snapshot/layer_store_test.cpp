#include "snapshot/layer_store.h"

#include <sys/wait.h>

#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/random.h"
#include "snapshot/files_import.h"
#include "snapshot/test_support.h"

namespace tare::snapshot {
namespace {

using test::TempDir;

class LayerStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    store_.emplace(LayerStore::open(home_.fd(), 0, 0).value());
  }
  // A layer with one file of this content.
  Imported add(const std::string& content, const std::string& name = "stage") {
    const sys::UniqueFd stage = store_->stage(name).value();
    CHECK(sys::make_dir_at(stage.get(), "root", 0700).ok());
    TreeWriter writer(sys::open_at(stage.get(), "root", O_RDONLY | O_DIRECTORY).value(),
                      test::kRoomy);
    const sys::UniqueFd file = test::as_file(content);
    std::vector<sys::UniqueFd> fds;
    fds.push_back(sys::dup_fd(file.get()).value());
    CHECK(add_base_folders(writer, FilesOf::agent).ok());
    CHECK(add_files(writer, FilesOf::agent, {{"bin/tool", 0755}}, fds).ok());
    CHECK(writer.finish().ok());
    return store_->publish(name, nullptr).value();
  }
  std::string path_of(const std::string& digest) const {
    return "store/layers/" + digest.substr(7);
  }

  TempDir home_;
  std::optional<LayerStore> store_;
};

TEST_F(LayerStoreTest, a_layer_is_named_by_its_manifests_hash) {
  const Imported layer = add("content");
  EXPECT_FALSE(layer.reused);
  EXPECT_EQ(layer.layer.entries, 4U);
  EXPECT_EQ(layer.layer.bytes, 7U);
  const std::string manifest = home_.read(path_of(layer.layer.digest) + "/manifest");
  EXPECT_EQ(sha256_text(manifest), layer.layer.digest);
  EXPECT_EQ(home_.read(path_of(layer.layer.digest) + "/root/home/agent/bin/tool"), "content");
  EXPECT_TRUE(sys::list_dir(store_->staging(), ".").value().empty());
}

TEST_F(LayerStoreTest, the_agents_files_are_the_agents_and_give_the_same_digest_every_time) {
  const std::string manifest = home_.read(path_of(add("content").layer.digest) + "/manifest");
  EXPECT_EQ(manifest,
            "tare-manifest 1\n"
            "d 755 0 0 315532800 .\n"
            "d 755 0 0 315532800 home\n"
            "d 755 1000 1000 315532800 home/agent\n"
            "d 755 1000 1000 315532800 home/agent/bin\n"
            "f 755 1000 1000 315532800 7 "
            "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73 home/agent/bin/tool\n"
            "end 4 7\n");
}

TEST_F(LayerStoreTest, an_identical_layer_is_reused) {
  const Imported first = add("content");
  const Imported second = add("content");
  EXPECT_TRUE(second.reused);
  EXPECT_EQ(second.layer, first.layer);
  EXPECT_EQ(store_->list("").value().layers.size(), 1U);
  EXPECT_TRUE(sys::list_dir(store_->staging(), ".").value().empty());
}

TEST_F(LayerStoreTest, a_damaged_layer_is_exchanged_for_the_good_one_that_is_made_again) {
  const std::string digest = add("content").layer.digest;
  const std::string tool = path_of(digest) + "/root/home/agent/bin/tool";
  const sys::UniqueFd mounted = store_->root_of(digest).value();  // a run stands on it
  for (const std::string& damage : {std::string("Content"), std::string("x")}) {
    home_.write(tool, damage, 0755);
    ASSERT_FALSE(store_->verify(digest, nullptr)->intact);
    const Imported again = add("content", "0123456789abcdef0123456789abcdef");
    EXPECT_FALSE(again.reused);
    EXPECT_EQ(again.layer.digest, digest);
    EXPECT_EQ(home_.read(tool), "content");
    EXPECT_EQ(store_->verify(digest, nullptr).value(), (Verified{true, ""}));
  }
  EXPECT_TRUE(add("content").reused) << "and a good one stays";
  // The first one is as it was for who has it, until the next start.
  EXPECT_EQ(sys::read_file_at(mounted.get(), "home/agent/bin/tool").value(), "Content");
  EXPECT_EQ(sys::list_dir(store_->staging(), ".")->size(), 2U);
  EXPECT_TRUE(store_->strays()->paths.empty());
  EXPECT_EQ(store_->sweep().value(), 2U);
}

TEST_F(LayerStoreTest, a_layer_that_has_lost_its_manifest_is_made_whole_by_the_same_again) {
  const std::string digest = add("content").layer.digest;
  ASSERT_TRUE(sys::remove_at(home_.fd(), path_of(digest) + "/manifest").ok());
  EXPECT_FALSE(add("content").reused);
  EXPECT_TRUE(store_->verify(digest, nullptr)->intact);
}

// The file's time is as before: it is the bit that is found.
TEST_F(LayerStoreTest, verify_finds_every_flipped_bit_and_says_which_file_it_is_in) {
  SeededRandom random(20);
  const sys::UniqueFd stage = store_->stage("stage").value();
  ASSERT_TRUE(sys::make_dir_at(stage.get(), "root", 0700).ok());
  TreeWriter writer(sys::open_at(stage.get(), "root", O_RDONLY | O_DIRECTORY).value(),
                    test::kRoomy);
  std::vector<FileItem> items;
  std::vector<sys::UniqueFd> fds;
  for (const std::size_t size : {1U, 7U, 4096U, 4097U, 70'000U}) {
    std::string content(size, '\0');
    if (size != 4096) random.fill(std::as_writable_bytes(std::span(content)));  // a hole
    items.push_back({fmt::format("d{}/f{}", size % 2, size), 0644});
    fds.push_back(test::as_file(content));
  }
  ASSERT_TRUE(add_base_folders(writer, FilesOf::agent).ok());
  ASSERT_TRUE(add_files(writer, FilesOf::agent, items, fds).ok());
  ASSERT_TRUE(writer.finish().ok());
  const std::string digest = store_->publish("stage", nullptr).value().layer.digest;
  ASSERT_EQ(store_->verify(digest, nullptr).value(), (Verified{true, ""}));

  std::vector<std::string> files = {"manifest"};
  for (const FileItem& item : items) files.push_back("root/home/agent/" + item.path);
  std::set<std::string> flipped;
  for (int i = 0; i < 600; ++i) {
    const std::string& name = files[random.below(files.size())];
    const std::string path = path_of(digest) + "/" + name;
    const struct stat before = home_.stat(path);
    const sys::UniqueFd file = sys::open_at(home_.fd(), path, O_RDWR).value();
    const auto at = static_cast<off_t>(random.below(static_cast<std::uint64_t>(before.st_size)));
    const auto bit = static_cast<unsigned char>(1U << random.below(8));
    const auto flip = [&] {
      unsigned char byte = 0;
      CHECK(::pread(file.get(), &byte, 1, at) == 1);
      byte ^= bit;
      CHECK(::pwrite(file.get(), &byte, 1, at) == 1);
      const struct timespec times[] = {before.st_atim, before.st_mtim};
      CHECK(::futimens(file.get(), times) == 0);
    };
    flip();
    const auto verified = store_->verify(digest, nullptr);
    ASSERT_TRUE(verified.ok() && !verified->intact) << path << " at " << at;
    if (name != "manifest") {
      EXPECT_THAT(verified->difference, testing::HasSubstr(name.substr(5)));
    }
    flip();
    flipped.insert(name);
  }
  EXPECT_EQ(flipped.size(), files.size());
  EXPECT_EQ(store_->verify(digest, nullptr).value(), (Verified{true, ""}));
}

TEST_F(LayerStoreTest, lists_in_order_and_from_a_place_on) {
  std::vector<std::string> digests;
  for (int i = 0; i < 5; ++i) digests.push_back(add(std::to_string(i)).layer.digest);
  std::sort(digests.begin(), digests.end());
  const LayerPage all = store_->list("").value();
  ASSERT_EQ(all.layers.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(all.layers[i].digest, digests[i]);
  EXPECT_EQ(store_->list(digests[2]).value().layers.size(), 2U);
  EXPECT_FALSE(all.more);
}

TEST_F(LayerStoreTest, verification_finds_the_first_difference) {
  const std::string digest = add("content").layer.digest;
  EXPECT_EQ(store_->verify(digest, nullptr).value(), (Verified{true, ""}));
  const std::string tool = path_of(digest) + "/root/home/agent/bin/tool";
  const std::string changed = "Content";
  const std::int64_t mtime = home_.stat(tool).st_mtim.tv_sec;
  home_.write(tool, changed, 0755);
  ASSERT_TRUE(sys::set_mtime_at(home_.fd(), tool, mtime).ok());
  const Verified damaged = store_->verify(digest, nullptr).value();
  EXPECT_FALSE(damaged.intact);
  EXPECT_THAT(damaged.difference, testing::HasSubstr("home/agent/bin/tool"));
}

TEST_F(LayerStoreTest, verification_finds_a_damaged_manifest_and_what_does_not_belong) {
  const std::string digest = add("content").layer.digest;
  const std::string manifest = home_.read(path_of(digest) + "/manifest");
  home_.write(path_of(digest) + "/manifest", manifest + " ");
  EXPECT_FALSE(store_->verify(digest, nullptr)->intact);
  home_.write(path_of(digest) + "/manifest", manifest);
  EXPECT_TRUE(store_->verify(digest, nullptr)->intact);
  ASSERT_EQ(::mkfifoat(home_.fd(), (path_of(digest) + "/root/pipe").c_str(), 0600), 0);
  EXPECT_THAT(store_->verify(digest, nullptr)->difference, testing::HasSubstr("pipe"));
  ASSERT_EQ(::unlinkat(home_.fd(), (path_of(digest) + "/root/pipe").c_str(), 0), 0);
  const std::int64_t mtime = 315532800;  // of what has no time of its own
  ASSERT_TRUE(sys::set_mtime_at(home_.fd(), path_of(digest) + "/root", mtime).ok());
  EXPECT_TRUE(store_->verify(digest, nullptr)->intact);
  home_.write(path_of(digest) + "/more", "beside root and manifest");
  EXPECT_THAT(store_->verify(digest, nullptr)->difference, testing::HasSubstr("\"more\""));
}

std::string content_of(const sys::UniqueFd& fd) {
  std::string text(static_cast<std::size_t>(sys::stat_fd(fd.get()).value().st_size), '\0');
  CHECK(sys::read_at(fd.get(), std::as_writable_bytes(std::span(text)), 0).value() == text.size());
  return text;
}

TEST_F(LayerStoreTest, a_manifest_and_a_file_can_be_read_and_not_written) {
  const std::string digest = add("content").layer.digest;
  const auto manifest = store_->open_manifest(digest);
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(sha256_text(content_of(*manifest)), digest);
  const auto file = store_->copy_file(digest, "home/agent/bin/tool");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(content_of(*file), "content");
  for (const int fd : {manifest->get(), file->get()}) EXPECT_LT(::pwrite(fd, "x", 1, 0), 0);
  const std::string again = "/proc/self/fd/" + std::to_string(file->get());
  const sys::UniqueFd opened(::open(again.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(!opened.valid() || ::pwrite(opened.get(), "x", 1, 0) < 0) << "it is sealed";
  EXPECT_EQ(home_.read(path_of(digest) + "/root/home/agent/bin/tool"), "content");
}

TEST_F(LayerStoreTest, nothing_is_read_through_a_link_or_that_is_not_a_plain_file_or_too_large) {
  const std::string digest = add("content").layer.digest;
  const std::string root = path_of(digest) + "/root/";
  home_.write("outside", "secret");
  ASSERT_EQ(::symlinkat("../../../../outside", home_.fd(), (root + "link").c_str()), 0);
  ASSERT_EQ(::symlinkat("home/agent", home_.fd(), (root + "folder").c_str()), 0);
  ASSERT_EQ(::mkfifoat(home_.fd(), (root + "pipe").c_str(), 0600), 0);
  for (const char* path :
       {"none", "link", "folder/bin/tool", "pipe", "home", "home/agent/bin/tool/x"})
    EXPECT_EQ(store_->copy_file(digest, path).error().code, Errc::not_found) << path;
  home_.write(root + "large", "");
  const sys::UniqueFd large = sys::open_at(home_.fd(), root + "large", O_RDWR).value();
  ASSERT_EQ(::ftruncate(large.get(), static_cast<off_t>(kMaxOpenedFileBytes) + 1), 0);
  EXPECT_EQ(store_->copy_file(digest, "large").error().code, Errc::exhausted);
  EXPECT_EQ(store_->open_manifest(sha256_text("other")).error().code, Errc::not_found);
}

TEST_F(LayerStoreTest, a_layer_under_a_wrong_name_is_not_intact) {
  const std::string digest = add("content").layer.digest;
  const std::string wrong = sha256_text("other");
  ASSERT_TRUE(sys::rename_at(home_.fd(), path_of(digest), home_.fd(), path_of(wrong)).ok());
  EXPECT_FALSE(store_->verify(wrong, nullptr)->intact);
}

TEST_F(LayerStoreTest, a_removed_layer_is_gone_and_a_missing_one_is_said_to_be) {
  const std::string digest = add("content").layer.digest;
  ASSERT_TRUE(store_->remove(digest, "x").ok());
  EXPECT_TRUE(store_->list("").value().layers.empty());
  for (const Errc code :
       {store_->remove(digest, "x").error().code, store_->stat(digest).error().code,
        store_->verify(digest, nullptr).error().code}) {
    EXPECT_EQ(code, Errc::not_found);
  }
}

TEST_F(LayerStoreTest, what_is_no_layer_is_a_stray_whatever_its_name_is) {
  const std::string digest = add("content").layer.digest;
  EXPECT_EQ(store_->strays().value(), Strays{});
  const std::string hex(64, 'a'), half(64, 'b'), link(64, 'c'), plain(64, 'd');
  home_.write("store/layers/" + plain, "");
  for (const std::string& name : {hex, half, std::string("junk")})
    ASSERT_TRUE(sys::make_dir_at(home_.fd(), "store/layers/" + name, 0700).ok());
  home_.write("store/layers/" + half + "/manifest", "tare-manifest 1\n");
  ASSERT_EQ(::symlinkat(digest.substr(7).c_str(), home_.fd(), ("store/layers/" + link).c_str()), 0);
  home_.write("store/layers/file", "");
  home_.write("store/other", "");
  home_.write("store/staging/mine", "");
  const sys::UniqueFd working = store_->stage(std::string(32, '0')).value();
  EXPECT_THAT(
      store_->strays()->paths,
      testing::ElementsAre("other", "layers/" + hex, "layers/" + half, "layers/" + link,
                           "layers/" + plain, "layers/file", "layers/junk", "staging/mine"));
  EXPECT_EQ(store_->list("")->layers.size(), 1U) << "a sweep could remove what is in it";
  EXPECT_EQ(store_->stat("sha256:" + half).error().code, Errc::not_found);
}

TEST_F(LayerStoreTest, strays_beyond_a_message_are_counted) {
  for (std::size_t i = 0; i < kMaxListedStrays + 2; ++i)
    home_.write("store/layers/junk" + std::to_string(i), "");
  const Strays found = store_->strays().value();
  EXPECT_EQ(found.paths.size(), kMaxListedStrays);
  EXPECT_EQ(found.total, kMaxListedStrays + 2);
}

TEST_F(LayerStoreTest, sweeping_empties_staging_and_leaves_layers_alone) {
  const std::string digest = add("content").layer.digest;
  for (const char* name : {"left1", "left2"}) {
    const sys::UniqueFd stage = store_->stage(name).value();
    ASSERT_TRUE(sys::make_dir_at(stage.get(), "root", 0700).ok());
  }
  EXPECT_EQ(store_->sweep().value(), 2U);
  EXPECT_TRUE(sys::list_dir(store_->staging(), ".").value().empty());
  EXPECT_TRUE(store_->verify(digest, nullptr)->intact);
}

TEST_F(LayerStoreTest, the_lock_has_one_holder) {
  LayerStore second = LayerStore::open(home_.fd(), 0, 0).value();
  ASSERT_TRUE(store_->lock(0).ok());
  EXPECT_EQ(second.lock(0).error().code, Errc::unavailable);
  store_.reset();
  EXPECT_TRUE(second.lock(0).ok());
}

// DESIGN.md: the store's files are owned by real ids, setuid ones too: they must be out of
// everybody's reach.
TEST_F(LayerStoreTest, another_user_of_the_host_cannot_reach_a_setuid_file_in_a_layer) {
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  const std::string path = home_.path() + "/" + path_of(add("content").layer.digest) +
                           "/root/home/agent/bin/tool";
  ASSERT_EQ(::chmod(path.c_str(), 04755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(9);
    ::_exit(::access(path.c_str(), F_OK) != 0 && ::open(path.c_str(), O_RDONLY) < 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace tare::snapshot
