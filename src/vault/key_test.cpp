#include "vault/key.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::vault {
namespace {

using testing::HasSubstr;

class KeyFileTest : public testing::Test {
 protected:
  KeyFileTest() {
    char path[] = "/tmp/tare_vault_XXXXXX";
    CHECK(::mkdtemp(path) != nullptr);
    path_ = path;
    state_ = sys::open_at(sys::kCwd, path_, O_RDONLY | O_DIRECTORY).value();
  }
  ~KeyFileTest() override { (void)sys::remove_tree_at(sys::kCwd, path_); }
  std::string file() const { return path_ + "/vault.key"; }
  void expect_refused(std::string_view fault, std::string_view fix) const {
    const auto read = read_key_file(state_.get());
    ASSERT_FALSE(read.ok());
    EXPECT_THAT(read.error().message, HasSubstr("vault.key"));
    EXPECT_THAT(read.error().message, HasSubstr(fault));
    EXPECT_THAT(read.error().message, HasSubstr(fix));
  }

  SystemRandom random_;
  std::string path_;
  sys::UniqueFd state_;
};

TEST_F(KeyFileTest, is_made_once_private_and_read_again) {
  EXPECT_FALSE(read_key_file(state_.get())->has_value());
  sys::write_file_atomic(state_.get(), "vault.key.new", "of one who died", 0644).value();
  const Key made = make_key_file(state_.get(), random_).value();
  const auto status = sys::stat_at(state_.get(), "vault.key").value();
  EXPECT_EQ(status.st_mode, S_IFREG | 0600U);
  EXPECT_EQ(status.st_size, 32);
  EXPECT_EQ(status.st_nlink, 1U);
  const auto read = read_key_file(state_.get()).value();
  EXPECT_TRUE(read->bytes().equals(made.bytes().reveal()));
  EXPECT_EQ(read->id(), made.id());
  EXPECT_EQ(make_key_file(state_.get(), random_).error().code, Errc::conflict)
      << "a key that is there is never replaced";
  EXPECT_EQ(read_key_file(state_.get()).value()->id(), made.id());
}

TEST_F(KeyFileTest, one_that_others_could_have_read_is_refused_with_the_fix) {
  make_key_file(state_.get(), random_).value();
  for (const unsigned mode : {0640U, 0604U, 0660U, 0700U, 04600U}) {
    ASSERT_EQ(::chmod(file().c_str(), mode), 0);
    expect_refused("its mode is", "chmod");
  }
  ASSERT_EQ(::chmod(file().c_str(), 0400), 0);
  EXPECT_TRUE(read_key_file(state_.get()).ok());
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown(file().c_str(), 1234, 1234), 0);
  expect_refused("uid 1234", "chown");
}

TEST_F(KeyFileTest, one_that_is_no_key_is_refused_with_the_fix) {
  for (const std::size_t size : {std::size_t{0}, kKeyBytes - 1, kKeyBytes + 1}) {
    sys::write_file_atomic(state_.get(), "vault.key", std::string(size, 'k'), 0600).value();
    expect_refused(std::to_string(size) + " bytes", "backup");
  }
  ASSERT_TRUE(sys::remove_at(state_.get(), "vault.key").ok());
  ASSERT_EQ(::symlinkat("/etc/hostname", state_.get(), "vault.key"), 0);
  EXPECT_FALSE(read_key_file(state_.get()).ok());
  ASSERT_TRUE(sys::remove_at(state_.get(), "vault.key").ok());
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  expect_refused("no regular file", "");
}

TEST_F(KeyFileTest, a_credential_is_taken_by_its_name_and_length) {
  EXPECT_FALSE(read_credential(nullptr)->has_value());
  EXPECT_FALSE(read_credential(path_.c_str())->has_value());
  const std::string bytes(kKeyBytes, 'k');
  sys::write_file_atomic(state_.get(), "tare-vault-key", bytes, 0440).value();
  EXPECT_TRUE(read_credential(path_.c_str()).value()->bytes().equals(bytes));
  sys::write_file_atomic(state_.get(), "tare-vault-key", bytes + "\n", 0400).value();
  EXPECT_THAT(read_credential(path_.c_str()).error().message, HasSubstr("33 bytes"));
}

TEST(VaultKey, its_id_is_its_own_and_stays_the_same) {
  const Key zeros = Key::of(Secret::of_size(kKeyBytes).value()).value();
  // printf 'tare vault key id 1\0' | (cat; head -c 32 /dev/zero) | sha256sum
  EXPECT_EQ(to_text(zeros.id()), "b0bb1fa839dfc817");
  SystemRandom random;
  EXPECT_NE(Key::make(random)->id(), Key::make(random)->id());
  EXPECT_FALSE(Key::of(Secret::of_size(kKeyBytes - 1).value()).ok());
}

}  // namespace
}  // namespace tare::vault
