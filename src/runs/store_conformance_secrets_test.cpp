// The part of store_conformance_test.cpp about the vault's rows.
#include <gmock/gmock.h>

#include "runs/test_store.h"

namespace tare::runs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

model::SealedSecret a_secret(const std::string& name, std::uint64_t version = 1) {
  return {"default", name, version, 7, 7 + version, std::string("sealed\0\xff", 8)};
}

TEST_P(StoreConformance, a_secret_is_added_once_and_listed_by_name) {
  ASSERT_TRUE(store().add_secret(a_secret("b")).ok());
  ASSERT_TRUE(store().add_secret(a_secret("a")).ok());
  const auto again = store().add_secret(a_secret("a"));
  EXPECT_EQ(again.error().code, Errc::conflict);
  EXPECT_THAT(again.error().message, HasSubstr("rotate"));
  EXPECT_EQ(store().add_secret(a_secret("c", 2)).error().code, Errc::invalid);
  backend_->reopen();
  EXPECT_THAT(store().list_secrets("default")->secrets, ElementsAre(a_secret("a"), a_secret("b")));
  EXPECT_TRUE(store().list_secrets("other")->secrets.empty());
}

TEST_P(StoreConformance, a_rotated_secret_has_the_next_version_alone) {
  EXPECT_EQ(store().rotate_secret(a_secret("a", 2)).error().code, Errc::not_found);
  ASSERT_TRUE(store().add_secret(a_secret("a")).ok());
  for (const std::uint64_t wrong : {1U, 3U})
    EXPECT_EQ(store().rotate_secret(a_secret("a", wrong)).error().code, Errc::conflict);
  auto next = a_secret("a", 2);
  next.sealed = "another";
  ASSERT_TRUE(store().rotate_secret(next).ok());
  backend_->reopen();
  EXPECT_THAT(store().list_secrets("default")->secrets, ElementsAre(next));
  ASSERT_TRUE(store().delete_secret("default", "a").ok());
  EXPECT_EQ(store().delete_secret("default", "a").error().code, Errc::not_found);
  EXPECT_TRUE(store().list_secrets("default")->secrets.empty());
}

TEST_P(StoreConformance, secrets_are_bounded) {
  for (std::size_t i = 0; i < model::kMaxSecrets; ++i)
    ASSERT_TRUE(store().add_secret(a_secret("n" + std::to_string(i))).ok());
  EXPECT_EQ(store().add_secret(a_secret("more")).error().code, Errc::exhausted);
  EXPECT_EQ(store().list_secrets("default")->secrets.size(), model::kMaxSecrets);
  auto secret = a_secret("A name");
  EXPECT_EQ(store().add_secret(secret).error().code, Errc::invalid);
  secret = a_secret("n1", 2);
  for (const std::size_t bytes : {std::size_t{0}, model::kMaxSealedBytes + 1}) {
    secret.sealed.assign(bytes, 'x');
    EXPECT_FALSE(store().rotate_secret(secret).ok()) << bytes;
  }
}

TEST_P(StoreConformance, a_damaged_secret_is_named_and_hides_no_other) {
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(store().add_secret(a_secret(name)).ok());
  backend_->damage("UPDATE secrets SET sealed = 'no base64' WHERE name = 'a'");
  backend_->damage("UPDATE secrets SET name = 'B/..' WHERE name = 'b'");
  const auto rows = store().list_secrets("default");
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  EXPECT_THAT(rows->secrets, ElementsAre(a_secret("c")));
  ASSERT_EQ(rows->damaged.size(), 2U);
  EXPECT_EQ(rows->damaged[0].name, "B/..");
  EXPECT_THAT(rows->damaged[1].error.message, HasSubstr("table secrets, row \"default\" \"a\""));
  EXPECT_TRUE(store().delete_secret("default", "B/..").ok());
  EXPECT_TRUE(store().delete_secret("default", "a").ok());
  EXPECT_TRUE(store().list_secrets("default")->damaged.empty());
}

}  // namespace
}  // namespace tare::runs
