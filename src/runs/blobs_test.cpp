#include "runs/blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sql/test_folder.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::runs {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kPlenty = 1 << 20;

class BlobFolder : public ::testing::Test {
 protected:
  Result<Blob> put(std::string_view text, std::string_view expected = "") {
    auto writer = TRY(blobs_.create(expected, kPlenty));
    TRY(writer.write(text));
    return writer.finish();
  }
  std::string get(std::string_view digest) {
    const auto file = blobs_.read(digest);
    return file ? std::move(sys::read_all(file->get(), kPlenty)).value() : file.error().message;
  }
  std::vector<std::string> temporary() {
    return std::move(sys::list_dir(sys::kCwd, folder_.path("blobs/tmp"))).value();
  }

  sql::TestFolder folder_;
  SystemRandom random_;
  Blobs blobs_ = std::move(Blobs::open(sys::kCwd, folder_.path("blobs"), random_)).value();
};

TEST_F(BlobFolder, content_is_found_by_its_digest) {
  const auto blob = put("hello\n");
  ASSERT_TRUE(blob.ok());
  // The digest as `printf 'hello\n' | sha256sum` says it.
  EXPECT_EQ(blob->digest,
            "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(blob->size, 6U);
  EXPECT_EQ(get(blob->digest), "hello\n");
  EXPECT_EQ(*blobs_.find(blob->digest), *blob);
  EXPECT_TRUE(blobs_.verify(blob->digest).ok());
  EXPECT_TRUE(sys::exists_at(sys::kCwd, folder_.path("blobs/58/" + blob->digest.substr(7))));
  EXPECT_THAT(temporary(), ::testing::IsEmpty());
}

TEST_F(BlobFolder, what_lies_there_is_listed_and_what_is_no_blob_apart) {
  const auto one = put("one"), two = put("two");
  const auto half = std::move(blobs_.create("", kPlenty)).value();  // on its way: neither
  const std::string folder = one->digest.substr(7, 2), hex = two->digest.substr(7);
  for (const char* path : {"file", "long", "zz"})
    ASSERT_TRUE(sys::make_dir_at(sys::kCwd, folder_.path(std::string("blobs/") + path), 0700).ok());
  ASSERT_TRUE(sys::make_dir_at(sys::kCwd, folder_.path("blobs/zz/" + hex), 0700).ok());
  ASSERT_TRUE(blobs_.link(two->digest, sys::kCwd, folder_.path("blobs/" + folder + "/" + hex)));
  const BlobNames names = blobs_.list().value();
  EXPECT_THAT(names.digests, ::testing::UnorderedElementsAre(one->digest, two->digest));
  EXPECT_THAT(names.strays,
              ::testing::UnorderedElementsAre("file", "long", "zz/" + hex, folder + "/" + hex));
}

TEST_F(BlobFolder, pieces_make_the_same_content_as_one_write) {
  auto writer = std::move(blobs_.create("", kPlenty)).value();
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    const std::string piece(static_cast<std::size_t>(i % 37), static_cast<char>(i));
    ASSERT_TRUE(writer.write(piece).ok());
    text += piece;
  }
  const auto blob = writer.finish();
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(blob->digest, sha256_text(text));
  EXPECT_EQ(get(blob->digest), text);
}

TEST_F(BlobFolder, the_same_content_twice_is_one_file) {
  const auto first = put("same");
  const auto second = put("same");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_THAT(temporary(), ::testing::IsEmpty());
}

TEST_F(BlobFolder, content_that_is_not_what_was_stated_is_refused_and_not_kept) {
  const std::string stated = sha256_text("what I said");
  const auto refused = put("what I sent", stated);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::invalid);
  EXPECT_THAT(refused.error().message, HasSubstr(stated));
  EXPECT_FALSE(blobs_.find(stated).ok());
  EXPECT_FALSE(blobs_.find(sha256_text("what I sent")).ok());
  EXPECT_TRUE(put("what I said", stated).ok());
  EXPECT_THAT(temporary(), ::testing::IsEmpty());
}

TEST_F(BlobFolder, more_than_allowed_is_refused_exactly_beyond_the_bound) {
  auto fits = std::move(blobs_.create("", 5)).value();
  ASSERT_TRUE(fits.write("123").ok());
  ASSERT_TRUE(fits.write("45").ok());
  const auto refused = fits.write("6");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::exhausted);
}

TEST_F(BlobFolder, a_name_that_is_no_digest_reaches_no_file) {
  for (const char* bad : {"", "sha256:", "../../etc/passwd", "sha256:../../../../etc/passwd",
                          "sha256:5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03",
                          "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"}) {
    const auto refused = blobs_.read(bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().code, Errc::invalid) << bad;
    if (*bad != '\0') {
      EXPECT_FALSE(blobs_.create(bad, kPlenty).ok()) << bad;
    }
  }
  EXPECT_EQ(blobs_.find(sha256_text("absent")).error().code, Errc::not_found);
}

TEST_F(BlobFolder, content_is_read_only_and_the_folder_private) {
  const auto blob = put("text");
  ASSERT_TRUE(blob.ok());
  const auto file = blobs_.read(blob->digest);
  EXPECT_EQ(sys::stat_fd(file->get())->st_mode & 07777, 0555U);
  const auto root = sys::open_at(sys::kCwd, folder_.path("blobs"), O_RDONLY);
  EXPECT_EQ(sys::stat_fd(root->get())->st_mode & 07777, 0700U);
}

TEST_F(BlobFolder, a_link_is_the_same_file_and_never_replaces_one) {
  const auto blob = put("text");
  ASSERT_TRUE(blobs_.link(blob->digest, sys::kCwd, folder_.path("name")).ok());
  struct stat linked{};
  ASSERT_EQ(::stat(folder_.path("name").c_str(), &linked), 0);
  EXPECT_EQ(linked.st_ino, sys::stat_fd(blobs_.read(blob->digest)->get())->st_ino);
  const auto refused = blobs_.link(blob->digest, sys::kCwd, folder_.path("name"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
}

TEST_F(BlobFolder, on_another_file_system_it_is_a_copy) {
  const std::string elsewhere = "/dev/shm/tare_blob_test_" + std::to_string(::getpid());
  struct stat here{}, there{};
  ASSERT_EQ(::stat(folder_.path().c_str(), &here), 0);
  ASSERT_EQ(::stat("/dev/shm", &there), 0);
  if (here.st_dev == there.st_dev) GTEST_SKIP() << "/dev/shm is on the file system of /tmp";
  const auto blob = put(std::string(700'000, 'x'));
  ASSERT_TRUE(blobs_.link(blob->digest, sys::kCwd, elsewhere).ok());
  EXPECT_EQ(std::move(sys::read_file_at(sys::kCwd, elsewhere)).value(), std::string(700'000, 'x'));
  EXPECT_FALSE(blobs_.link(blob->digest, sys::kCwd, elsewhere).ok());
  ASSERT_TRUE(sys::remove_at(sys::kCwd, elsewhere).ok());
}

TEST_F(BlobFolder, damage_is_found_by_verify) {
  const auto blob = put("text");
  const std::string path = folder_.path("blobs/" + blob->digest.substr(7, 2) + "/" +
                                        blob->digest.substr(7));
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(::truncate(path.c_str(), 2), 0);
  const auto found = blobs_.verify(blob->digest);
  ASSERT_FALSE(found.ok());
  EXPECT_THAT(found.error().message, HasSubstr("damaged"));
}

TEST_F(BlobFolder, what_a_writer_leaves_behind_is_swept_when_it_is_old) {
  ASSERT_TRUE(sys::write_file_atomic(sys::kCwd, folder_.path("blobs/tmp/stale"), "x", 0600).ok());
  ASSERT_TRUE(sys::set_mtime_at(sys::kCwd, folder_.path("blobs/tmp/stale"), 1000).ok());
  auto writer = std::move(blobs_.create("", kPlenty)).value();
  EXPECT_EQ(*blobs_.sweep(1'000'000), 0U) << "not older than that";
  EXPECT_EQ(*blobs_.sweep(1'000'001), 1U);
  EXPECT_EQ(temporary().size(), 1U) << "the live one stays";
  ASSERT_TRUE(writer.write("y").ok());
  EXPECT_TRUE(writer.finish().ok());
}

// As if it had been stored at that time.
void set_times(const std::string& path, std::int64_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST_F(BlobFolder, what_nobody_uses_is_swept_when_it_is_old) {
  const auto path = [&](const Result<Blob>& blob) {
    return folder_.path("blobs/" + blob->digest.substr(7, 2) + "/" + blob->digest.substr(7));
  };
  const auto old = put("old"), named = put("named"), kept = put("kept"), young = put("young");
  ASSERT_TRUE(blobs_.link(named->digest, sys::kCwd, folder_.path("input")).ok());
  for (const auto* blob : {&old, &named, &kept}) set_times(path(*blob), 1000);
  set_times(path(young), 2000);
  EXPECT_EQ(*blobs_.sweep_unused(1'000'000, {kept->digest}), 0U) << "not older than that";
  EXPECT_EQ(*blobs_.sweep_unused(1'000'001, {kept->digest}), 1U);
  EXPECT_EQ(blobs_.find(old->digest).error().code, Errc::not_found);
  for (const auto* blob : {&named, &kept, &young}) EXPECT_TRUE(blobs_.find((*blob)->digest).ok());
  ASSERT_TRUE(sys::remove_at(sys::kCwd, folder_.path("input")).ok());
  EXPECT_EQ(*blobs_.sweep_unused(1'000'001, {}), 2U) << "the run with the input is gone";
}

TEST_F(BlobFolder, what_is_stored_again_or_renewed_is_young_and_its_own_time_stays) {
  const auto stored = put("stored"), renewed = put("renewed");
  const auto path = [&](const Result<Blob>& blob) {
    return folder_.path("blobs/" + blob->digest.substr(7, 2) + "/" + blob->digest.substr(7));
  };
  for (const auto* blob : {&stored, &renewed}) set_times(path(*blob), 1000);
  ASSERT_TRUE(put("stored").ok());
  EXPECT_EQ(blobs_.renew(renewed->digest)->size, 7U);
  EXPECT_EQ(*blobs_.sweep_unused(1'000'001, {}), 0U);
  struct stat status{};
  ASSERT_EQ(::stat(path(renewed).c_str(), &status), 0);
  EXPECT_EQ(status.st_mtime, 1000);
  EXPECT_EQ(blobs_.renew("sha256:" + std::string(64, '0')).error().code, Errc::not_found);
}

TEST_F(BlobFolder, a_writer_that_is_given_up_leaves_nothing) {
  {
    auto writer = std::move(blobs_.create("", kPlenty)).value();
    ASSERT_TRUE(writer.write("half").ok());
    EXPECT_EQ(temporary().size(), 1U);
  }
  EXPECT_THAT(temporary(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace tare::runs
