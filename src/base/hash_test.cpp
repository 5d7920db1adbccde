#include "base/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace tare {
namespace {

constexpr std::string_view
    kAbc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

// FIPS 180-4 examples, and the empty message.
TEST(Sha256, gives_the_published_answers) {
  EXPECT_EQ(sha256_text("abc"), kAbc);
  EXPECT_EQ(sha256_text(""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_text(std::string(1'000'000, 'a')),
            "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, does_not_depend_on_how_the_data_is_cut) {
  SeededRandom random(5);
  std::string data(10'000, '\0');
  for (char& c : data) c = static_cast<char>(random.next_u64());
  for (int round = 0; round < 50; ++round) {
    Sha256 hash;
    std::string_view rest = data;
    while (!rest.empty()) {
      const std::size_t n = std::min<std::size_t>(rest.size(), random.below(700));
      hash.update(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    ASSERT_EQ(hash.finish(), sha256(data));
  }
}

TEST(Digest, text_and_bytes_turn_into_each_other) {
  const auto digest = parse_digest(kAbc);
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(*digest, sha256("abc"));
  EXPECT_EQ(digest_text(*digest), kAbc);
}

TEST(Digest, has_one_spelling_only) {
  const std::string hex(kAbc.substr(7));
  for (const std::string& bad :
       {std::string(), std::string("sha256:"), hex, "SHA256:" + hex, "sha512:" + hex,
        "sha256:" + hex + "0", "sha256:" + hex.substr(1), "sha256:B" + hex.substr(1),
        "sha256:g" + hex.substr(1), " sha256:" + hex, "sha256:" + hex.substr(2) + "../"}) {
    EXPECT_FALSE(is_digest(bad)) << bad;
  }
  EXPECT_THAT(parse_digest("x\n").error().message,
              testing::HasSubstr("\"x\\n\" is not a digest: expected sha256: and 64"));
}

// RFC 4231, test cases 1, 2 and 6.
TEST(Hash, hmac_is_as_the_rfc_has_it) {
  const auto hex = [](const Sha256Digest& digest) { return to_hex(digest); };
  EXPECT_EQ(hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(std::string(131, '\xaa'),
                            "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

}  // namespace
}  // namespace tare
