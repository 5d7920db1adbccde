#include "vault/cipher.h"

#include <gmock/gmock.h>

#include "base/hash.h"

namespace tare::vault {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string bytes_of(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

// Test cases 13 to 16 (AES-256, nonces of 96 bits) of McGrew and Viega, "The Galois/Counter Mode of
// Operation", the submission to NIST that became SP 800-38D.
struct Known {
  const char *key, *nonce, *associated, *text, *ciphertext, *tag;
};
constexpr const char* kZeroKey = "0000000000000000000000000000000000000000000000000000000000000000";
constexpr const char* kKey = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
constexpr const char* kNonce = "cafebabefacedbaddecaf888";
constexpr Known kKnown[] = {
    {kZeroKey, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kZeroKey, "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {kKey, kNonce, "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {kKey, kNonce, "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"}};

TEST(Gcm, gives_the_known_answers_and_takes_back_only_them) {
  for (const Known& known : kKnown) {
    const std::string key = bytes_of(known.key), nonce = bytes_of(known.nonce),
                      associated = bytes_of(known.associated), text = bytes_of(known.text),
                      ciphertext = bytes_of(known.ciphertext), tag = bytes_of(known.tag);
    std::string out(text.size(), 'x');
    std::array<char, kTagBytes> made{};
    gcm_encrypt({key, nonce, associated, text}, out, made);
    EXPECT_EQ(out, ciphertext);
    EXPECT_EQ(std::string(made.data(), made.size()), tag);
    std::string back(text.size(), 'x');
    EXPECT_TRUE(gcm_decrypt({key, nonce, associated, ciphertext}, tag, back));
    EXPECT_EQ(back, text);
    std::string other = tag;
    other[15] ^= 1;
    EXPECT_FALSE(gcm_decrypt({key, nonce, associated, ciphertext}, other, back));
    EXPECT_EQ(back, std::string(text.size(), '\0')) << "what is not whole is not given out";
  }
}

class Cipher : public testing::Test {
 protected:
  Key make_key() { return Key::make(random_).value(); }
  std::string sealed(const Place& place, std::string_view value) {
    return seal(key_, place, Secret::copy_of(value).value(), random_).value();
  }

  SeededRandom random_{7};
  Key key_ = make_key();
  const Place place_{"default", "api", 3};
};

TEST_F(Cipher, a_value_comes_back_in_its_place_only) {
  const std::string value = "sk-live-4242";
  const std::string row = sealed(place_, value);
  EXPECT_EQ(row.size(), kSealedOverhead + value.size());
  EXPECT_THAT(row, Not(HasSubstr(value)));
  EXPECT_EQ(open(key_, place_, row)->reveal(), value);
  for (const Place& other :
       {Place{"other", "api", 3}, Place{"default", "db", 3}, Place{"default", "api", 2},
        Place{"defaul", "tapi", 3}, Place{"default", "api", 3 + (std::uint64_t{1} << 32)}}) {
    const auto opened = open(key_, other, row);
    ASSERT_FALSE(opened.ok()) << other.tenant << other.name << other.version;
    EXPECT_EQ(opened.error().code, Errc::internal);
    EXPECT_THAT(opened.error().message, Not(HasSubstr(value)));
  }
}

TEST_F(Cipher, each_bit_counts) {
  const std::string row = sealed(place_, "0123456789");
  for (std::size_t bit = 0; bit < row.size() * 8; ++bit) {
    std::string changed = row;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_FALSE(open(key_, place_, changed).ok()) << bit;
  }
  for (std::size_t size = 0; size < row.size(); ++size)
    EXPECT_FALSE(open(key_, place_, row.substr(0, size)).ok()) << size;
  EXPECT_FALSE(open(key_, place_, row + '\0').ok());
}

TEST_F(Cipher, another_key_and_another_format_are_named) {
  const std::string row = sealed(place_, "value");
  const Key other = make_key();
  const auto opened = open(other, place_, row);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Errc::denied);
  EXPECT_THAT(opened.error().message, HasSubstr(to_text(key_.id())));
  EXPECT_THAT(opened.error().message, HasSubstr(to_text(other.id())));
  std::string newer = row;
  newer[0] = 2;
  EXPECT_THAT(open(key_, place_, newer).error().message, HasSubstr("format 2"));
}

TEST_F(Cipher, the_same_value_is_never_sealed_the_same) {
  EXPECT_NE(sealed(place_, "value"), sealed(place_, "value"));
}

TEST_F(Cipher, values_have_a_size) {
  for (const std::size_t size : {std::size_t{1}, kMaxValueBytes}) {
    const std::string value(size, 'v');
    const std::string row = sealed(place_, value);
    EXPECT_EQ(open(key_, place_, row)->reveal(), value);
  }
  for (const std::size_t size : {std::size_t{0}, kMaxValueBytes + 1}) {
    const auto refused = seal(key_, place_, Secret::of_size(size).value(), random_);
    EXPECT_EQ(refused.error().code, Errc::invalid);
  }
  EXPECT_FALSE(parse_sealed(std::string(kMaxSealedBytes + 1, '\1')).ok());
}

}  // namespace
}  // namespace tare::vault
