#include "snapshot/needles.h"

#include <gmock/gmock.h>
#include <sys/xattr.h>

#include "base/random.h"
#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

using test::as_file;
using test::TempDir;
using test::why;

const std::string kSecret = "sk-T0p/Secret+Value:42";

std::string random_bytes(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  SeededRandom(seed).fill(std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// By a program of others: coreutils' base64 and od.
std::string encoded_by(const std::string& command, const std::string& text) {
  const TempDir dir;
  dir.write("in", text);
  const std::string line = "cat " + dir.path() + "/in | " + command + " >" + dir.path() + "/out";
  CHECK(::system(line.c_str()) == 0);
  return dir.read("out");
}

TEST(Needles, a_secret_is_found_at_every_place_and_nothing_where_none_is) {
  const NeedleSearch search({{"other", "another secret of mine"}, {"key", kSecret}});
  std::string text = random_bytes(500, 1);
  EXPECT_EQ(search.find(text), nullptr);
  for (std::size_t at = 0; at + kSecret.size() <= text.size(); ++at) {
    std::string with = text;
    with.replace(at, kSecret.size(), kSecret);
    const std::string* found = search.find(with);
    ASSERT_NE(found, nullptr) << at;
    EXPECT_EQ(*found, "key");
    with[at + kSecret.size() - 1] ^= 1;
    ASSERT_EQ(search.find(with), nullptr) << at;
  }
}

TEST(Needles, it_is_found_in_hexadecimal_and_base64_behind_anything) {
  const NeedleSearch search({{"key", kSecret}});
  for (const std::string& before : {std::string(), std::string("x"), std::string("xy"),
                                    std::string("xyz"), std::string(1000, 'q')}) {
    const std::string text = before + kSecret + "tail";
    for (const char* command :
         {"base64 -w0", "base64", "base64 -w 64", "base64 -w0 | tr +/ -_",
          "od -An -v -tx1 | tr -d ' \\n'", "od -An -v -tx1 | tr -d ' \\n' | tr a-f A-F"}) {
      const std::string encoded = encoded_by(command, text);
      // A line may end within the first 16 characters: not promised.
      if (before.size() > 100 && std::string_view(command).find("-w0") == std::string_view::npos &&
          std::string_view(command).starts_with("base64"))
        continue;
      EXPECT_NE(search.find(encoded), nullptr)
          << command << " " << before.size() << ": " << encoded;
    }
  }
}

TEST(Needles, what_is_split_over_pieces_is_found_at_every_border) {
  const NeedleSearch search({{"key", kSecret}});
  const std::string text = random_bytes(300, 2) + kSecret + random_bytes(300, 3);
  for (std::size_t cut = 280; cut < 340; ++cut) {
    for (const std::size_t piece : {1UL, 3UL, 20UL, 1000UL}) {
      NeedleStream stream(search);
      bool found = stream.add(std::string_view(text).substr(0, cut)) != nullptr;
      for (std::size_t at = cut; at < text.size(); at += piece)
        found = stream.add(std::string_view(text).substr(at, piece)) != nullptr || found;
      ASSERT_TRUE(found) << cut << " " << piece;
    }
  }
}

TEST(Needles, the_longest_and_the_most_are_found_and_none_of_them_in_other_bytes) {
  std::vector<Needle> needles;
  for (std::uint64_t i = 0; i < kMaxNeedles; ++i)
    needles.push_back({"n" + std::to_string(i), random_bytes(i % 2 == 0 ? 4096 : 16, i + 10)});
  const NeedleSearch search(needles);
  const std::string noise = random_bytes(1 << 20, 9999);
  NeedleStream quiet(search);
  EXPECT_EQ(quiet.add(noise), nullptr);
  for (const Needle& needle : needles) {
    NeedleStream stream(search);
    (void)stream.add(noise);
    const std::string* found = nullptr;
    for (std::size_t at = 0; at < needle.value.size() && found == nullptr; at += 777)
      found = stream.add(std::string_view(needle.value).substr(at, 777));
    ASSERT_NE(found, nullptr) << needle.name;
    EXPECT_EQ(*found, needle.name);
  }
}

TEST(Needles, what_cannot_be_searched_for_is_refused_and_its_value_not_told) {
  for (const Needle& bad :
       {Needle{"", kSecret}, Needle{"short", "fifteen bytes.."},
        Needle{"long", std::string(4097, 'x')}, Needle{"dull", "abababababababababab"}}) {
    EXPECT_FALSE(check_needle(bad).ok());
    EXPECT_THAT(why(check_needle(bad)), testing::Not(testing::HasSubstr(bad.value)));
  }
  NeedleSet good{.needles = {{"a", kSecret}, {"b", random_bytes(4096, 5)}}};
  good.id = needle_set_id(good.needles, "a key");
  EXPECT_EQ(parse_needles(encode_needles(good).value()).value(), good);
  const std::string bytes = encode_needles(good).value();
  for (const std::size_t n : {0UL, 3UL, 10UL, 30UL, bytes.size() - 1})
    EXPECT_FALSE(parse_needles(std::string_view(bytes).substr(0, n)).ok()) << n;
}

TEST(Needles, a_set_has_one_id_whatever_the_order_and_the_names_and_another_for_other_values) {
  const Sha256Digest id = needle_set_id({{"a", kSecret}, {"b", "another secret of mine"}}, "key");
  EXPECT_EQ(needle_set_id({{"c", "another secret of mine"}, {"a", kSecret}}, "key"), id);
  EXPECT_NE(needle_set_id({{"a", kSecret}, {"b", "another secret of mine"}}, "kez"), id);
  EXPECT_NE(needle_set_id({{"a", kSecret}}, "key"), id);
  EXPECT_NE(needle_set_id({{"a", kSecret}, {"b", "another secret of hers"}}, "key"), id);
  // Not the hash of anything that can be guessed without the key.
  EXPECT_NE(id, sha256(kSecret));
}

class NeedlesStoreTest : public test::RunningStore {
 protected:
  // A freeze of home_/upper with these secrets.
  Result<Imported> freeze(const std::vector<Needle>& needles = {{"key", kSecret}}) {
    StoreClient c = client();
    const sys::UniqueFd upper = home_.folder("upper"), opaque = as_file("");
    const sys::UniqueFd secrets = as_file(encode_needles({.needles = needles}).value());
    const int fds[] = {upper.get(), opaque.get(), secrets.get()};
    return expect<Imported>(c.call(freeze_of(), fds));
  }
  void expect_refused(const std::string& place) {
    const auto refused = freeze();
    ASSERT_FALSE(refused.ok()) << place;
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_EQ(refused.error().message,
              "the secret \"key\" is in " + place + ": take it out there, and do this again");
    EXPECT_TRUE(staged().empty());
    EXPECT_EQ(home_.read("log").find(kSecret), std::string::npos);
    ASSERT_TRUE(sys::remove_tree_at(home_.fd(), "upper").ok());
  }
};

TEST_F(NeedlesStoreTest, wherever_it_is_in_a_tree_the_freeze_is_refused_and_the_place_named) {
  (void)home_.folder("upper");
  (void)home_.folder("upper/a");
  home_.write("upper/a/env", "KEY=" + kSecret + "\n");
  expect_refused("\"a/env\"");
  (void)home_.folder("upper");
  (void)home_.folder("upper/a");
  const std::string name = "key sk-T0p:Secret+Value:42";
  home_.write("upper/a/" + name, "x");
  EXPECT_THAT(why(freeze({{"key", name}})), testing::HasSubstr("a name in \"a\""));
  ASSERT_TRUE(sys::remove_tree_at(home_.fd(), "upper").ok());
  ASSERT_TRUE(sys::make_symlink_at(home_.folder("upper").get(), "link", "/x/" + kSecret).ok());
  expect_refused("the target of the link \"link\"");
  (void)home_.folder("upper");
  home_.write("upper/file", "x");
  const std::string path = home_.path() + "/upper/file";
  ASSERT_EQ(::setxattr(path.c_str(), "user.note", kSecret.data(), kSecret.size(), 0), 0);
  expect_refused("an attribute of \"file\"");
  EXPECT_TRUE(freeze().ok()) << "and the tree without it is taken";
}

TEST_F(NeedlesStoreTest, it_is_found_at_each_border_of_what_is_read_at_once_and_between_holes) {
  constexpr std::size_t kRead = 256 * 1024;
  for (const std::size_t back : {1UL, 7UL, kSecret.size() - 1, kSecret.size()}) {
    (void)home_.folder("upper");
    std::string text(kRead * 2, 'x');
    text.replace(kRead - back, kSecret.size(), kSecret);
    home_.write("upper/file", text);
    expect_refused("\"file\"");
  }
  const sys::UniqueFd upper = home_.folder("upper");
  const sys::UniqueFd sparse = sys::open_at(upper.get(), "holes", O_WRONLY | O_CREAT, 0600).value();
  ASSERT_TRUE(sys::truncate_fd(sparse.get(), std::uint64_t{1} << 26).ok());
  ASSERT_TRUE(sys::write_at(sparse.get(), std::as_bytes(std::span(kSecret)), (1 << 25) + 5).ok());
  ASSERT_TRUE(sys::make_link_at(upper.get(), "holes", upper.get(), "again").ok());
  expect_refused("\"again\"");
}

TEST_F(NeedlesStoreTest, one_that_ends_or_begins_with_the_zeros_of_a_hole_is_found) {
  const std::string zeros(8, '\0'), text = "0123456789abcdef";
  constexpr std::uint64_t kHole = 3 << 20;
  for (const bool ends : {true, false}) {
    const sys::UniqueFd upper = home_.folder("upper");
    const sys::UniqueFd file = sys::open_at(upper.get(), "holes", O_WRONLY | O_CREAT, 0600).value();
    ASSERT_TRUE(sys::truncate_fd(file.get(), 2 * kHole).ok());
    const std::uint64_t at = ends ? kHole - text.size() : kHole;
    ASSERT_TRUE(sys::write_at(file.get(), std::as_bytes(std::span(text)), at).ok());
    EXPECT_THAT(why(freeze({{"key", ends ? text + zeros : zeros + text}})),
                testing::HasSubstr("is in \"holes\""));
    ASSERT_TRUE(sys::remove_tree_at(home_.fd(), "upper").ok());
  }
}

}  // namespace
}  // namespace tare::snapshot
