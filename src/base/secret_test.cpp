#include "base/secret.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <boost/json/value_from.hpp>

#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret_json.h"

namespace tare {
namespace {

template <class T>
concept Streamable = requires(std::ostream& out, const T& value) { out << value; };
template <class T>
concept Comparable = requires(const T& a, const T& b) { a == b; };

// Nobody can print one, log it, or make JSON or text of it.
static_assert(!fmt::is_formattable<Secret>::value && fmt::is_formattable<std::string>::value);
static_assert(!Streamable<Secret> && Streamable<std::string>);
static_assert(!boost::json::has_value_from<Secret>::value);
static_assert(!std::is_constructible_v<Json, Secret> && !std::is_constructible_v<Json, Secret&>);
static_assert(!std::is_constructible_v<LogValue, const Secret&>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_constructible_v<std::string, const Secret&>);
static_assert(!Comparable<Secret> && Comparable<std::string>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret>);

const std::string kValue = "hunter2-hunter3";

Secret a_secret(std::string_view value = kValue) { return Secret::copy_of(value).value(); }

// The lines of /proc/self/smaps about the mapping that `address` is in.
std::string smaps_of(const void* address) {
  std::ifstream file("/proc/self/smaps");
  std::string line, found;
  bool inside = false;
  while (std::getline(file, line)) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<unsigned long>(address);
      inside = begin <= at && at < end;
    }
    if (inside) found += line + "\n";
  }
  return found;
}

TEST(Secret, has_what_was_put_in_and_moving_leaves_nothing) {
  Secret first = a_secret();
  const char* pages = first.reveal().data();
  Secret second = std::move(first);
  EXPECT_EQ(second.reveal(), kValue);
  EXPECT_EQ(second.reveal().data(), pages) << "moved, not copied";
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move)
  first = std::move(second);
  EXPECT_TRUE(second.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(first.reveal(), kValue);
  Secret nothing = Secret::copy_of("").value();
  EXPECT_TRUE(nothing.empty());
  EXPECT_EQ(Secret::of_size(kMaxSecretBytes + 1).error().code, Errc::exhausted);
}

TEST(Secret, its_pages_are_locked_undumped_and_wiped_in_a_child) {
  const Secret secret = a_secret();
  const std::string map = smaps_of(secret.reveal().data());
  EXPECT_THAT(map, testing::ContainsRegex("VmFlags:.* dd"));
  EXPECT_THAT(map, testing::ContainsRegex("VmFlags:.* lo"));
  EXPECT_THAT(map, testing::ContainsRegex("VmFlags:.* wf"));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(secret.reveal() == std::string(kValue.size(), '\0') ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Secret, what_it_no_longer_holds_is_zeros_or_unmapped) {
  Secret secret = a_secret();
  const char* pages = secret.reveal().data();
  secret.shrink(7);
  EXPECT_EQ(secret.reveal(), "hunter2");
  EXPECT_EQ(std::string(pages, kValue.size()), "hunter2" + std::string(kValue.size() - 7, '\0'));
  secret.wipe();
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(smaps_of(pages), "");
}

TEST(Secret, compares_by_content_and_length) {
  const Secret secret = a_secret();
  EXPECT_TRUE(secret.equals(kValue));
  EXPECT_TRUE(secret.equals(a_secret().reveal()));
  EXPECT_FALSE(secret.equals(kValue + "x"));
  EXPECT_FALSE(secret.equals(""));
  for (std::size_t i = 0; i < kValue.size(); ++i) {
    std::string other = kValue;
    other[i] ^= 1;
    EXPECT_FALSE(secret.equals(other)) << i;
  }
}

TEST(Secret, a_limit_on_locked_memory_is_told_once_and_stops_nobody) {
  const pid_t child = ::fork();  // the limit is the process's
  if (child == 0) {
    const rlimit none = {0, 0};
    const bool limited = ::setrlimit(RLIMIT_MEMLOCK, &none) == 0;
    // Who may lock as much as they like are not stopped by the limit.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(9);
    const Secret first = a_secret(), second = a_secret();
    const bool used = first.equals(kValue) && second.equals(kValue);
    const bool once = take_unlocked_notice() && !take_unlocked_notice();
    ::_exit(limited && used && once ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(take_unlocked_notice()) << "here all could be locked";
}

TEST(Secret, comes_from_base64_as_strict_as_any) {
  for (const std::string& value :
       {std::string("a"), std::string("ab"), kValue, std::string("\0\xff binary", 9)}) {
    EXPECT_EQ(secret_from_base64(base64_encode(value))->reveal(), value);
  }
  for (const char* wrong :
       {"a", "ab", "a===", "ab=c", "QUI", "QU\n=", "QR==", "QUK=", "=", "QQ==QQ=="})
    EXPECT_FALSE(secret_from_base64(wrong).ok()) << wrong;
  EXPECT_TRUE(secret_from_base64("")->empty());
}

TEST(SecretJson, is_read_as_any_other_and_refused_for_the_same) {
  const std::string large(100'000, 'v');
  for (const std::string& text :
       {std::string(R"({"name":"a","value":"b"})"), std::string(R"([1,-2,3.5,true,null,"\u00e9"])"),
        R"({"a":{"b":[")" + large + R"("]}})", std::string("{"), std::string(R"({"a":1,"a":2})"),
        std::string("\"\xff\""), std::string("1e999")}) {
    const auto wiped = parse_secret_json(text), plain = parse_json(text);
    ASSERT_EQ(wiped.ok(), plain.ok()) << text.substr(0, 50);
    if (plain) {
      EXPECT_EQ(*wiped, *plain);
    } else {
      EXPECT_EQ(wiped.error().message, plain.error().message);
    }
  }
  EXPECT_EQ(parse_secret_json('"' + std::string(kMaxSecretBytes, 'v') + '"').error().code,
            Errc::exhausted);
}

TEST(Secret, wiping_a_text_reaches_its_unused_capacity) {
  std::string text = "a text that is longer than what fits into the object itself";
  text.resize(20);
  const char* bytes = text.data();
  wipe(text);
  EXPECT_EQ(text, "");
  EXPECT_EQ(text.data(), bytes);
  EXPECT_EQ(std::string(bytes, text.capacity()), std::string(text.capacity(), '\0'));
}

}  // namespace
}  // namespace tare
