#include "base/base64.h"

#include <random>

namespace tare {
namespace {

TEST(Base64, encodes_the_examples_of_the_rfc) {
  const std::pair<std::string_view, std::string_view> table[] = {{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : table) {
    EXPECT_EQ(base64_encode(plain), encoded);
    EXPECT_EQ(base64_decode(encoded).value(), plain);
  }
}

TEST(Base64, decoding_gives_back_any_bytes) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes);
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)).value(), bytes);
  }
}

TEST(Base64, what_encode_would_not_write_is_refused) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==",
                           "Z=g=", "Zm9v\n", "Zm 9v", "Zm-_", "Zg=a"}) {
    EXPECT_FALSE(base64_decode(text).ok()) << text;
  }
}

TEST(Base64, the_form_for_urls_has_no_padding_and_two_other_letters) {
  EXPECT_EQ(base64url_encode("\xff\xfe\xfd\xfc"), "__79_A");
  EXPECT_EQ(base64url_decode("__79_A").value(), "\xff\xfe\xfd\xfc");
  for (const char* text : {"//79/A==", "__79_A==", "_", "__79_B", "__79 A", "a+b"}) {
    EXPECT_FALSE(base64url_decode(text).ok()) << text;
  }
}

}  // namespace
}  // namespace tare
