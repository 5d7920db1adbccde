#include "base/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace tare {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

enum class Colour : std::uint8_t { red, green };

TEST(Wire, what_is_written_is_read_back) {
  WireWriter writer;
  writer.u8(0xAB);
  writer.u16(0xBEEF);
  writer.u32(0xDEADBEEF);
  writer.u64(0x0123456789ABCDEF);
  writer.i32(-7);
  writer.boolean(true);
  writer.enumerator(Colour::green);
  writer.text("name", "tare", 4);
  writer.bytes("data", "a\0b"sv, 16);
  writer.count("argv", 2, 8);
  writer.u8(1);
  writer.u8(2);
  const std::string message = writer.finish().value();

  WireReader reader(message);
  EXPECT_EQ(reader.u8("a").value(), 0xAB);
  EXPECT_EQ(reader.u16("b").value(), 0xBEEF);
  EXPECT_EQ(reader.u32("c").value(), 0xDEADBEEFU);
  EXPECT_EQ(reader.u64("d").value(), 0x0123456789ABCDEFU);
  EXPECT_EQ(reader.i32("e").value(), -7);
  EXPECT_TRUE(reader.boolean("f").value());
  EXPECT_EQ(reader.enumerator("g", Colour::green).value(), Colour::green);
  EXPECT_EQ(reader.text("name", 4).value(), "tare");
  EXPECT_EQ(reader.bytes("data", 16).value(), "a\0b"sv);
  EXPECT_EQ(reader.count("argv", 8, 1).value(), 2U);
  EXPECT_EQ(reader.left(), 2U);
  EXPECT_FALSE(reader.finish().ok());
  EXPECT_EQ(reader.u8("x").value(), 1);
  EXPECT_EQ(reader.u8("y").value(), 2);
  EXPECT_TRUE(reader.finish().ok());
}

TEST(Wire, numbers_are_little_endian) {
  WireWriter writer;
  writer.u32(0x01020304);
  EXPECT_EQ(writer.finish().value(), "\x04\x03\x02\x01"sv);
}

TEST(Wire, the_writer_refuses_what_breaks_a_maximum_and_names_the_first_field) {
  WireWriter writer;
  writer.text("argv", "12345", 4);
  writer.text("cwd", "123456", 4);
  const auto message = writer.finish();
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().code, Errc::exhausted);
  EXPECT_EQ(message.error().message, "message field argv: 5 bytes, at most 4 are allowed");

  writer.text("cwd", "a\0b"sv, 4);
  EXPECT_THAT(writer.finish().error().message, HasSubstr("cwd: holds a NUL"));
  writer.count("argv", 9, 8);
  EXPECT_THAT(writer.finish().error().message, HasSubstr("argv: 9 items, at most 8"));
  EXPECT_EQ(writer.finish().value(), "");
}

TEST(Wire, the_reader_refuses_a_message_that_ends_early) {
  EXPECT_FALSE(WireReader("").u8("x").ok());
  EXPECT_FALSE(WireReader("1").u16("x").ok());
  EXPECT_FALSE(WireReader("123").u32("x").ok());
  EXPECT_EQ(WireReader("1234567").u64("pid").error().message,
            "message field pid: 8 bytes needed, 7 left");
  EXPECT_THAT(WireReader("\x03\0\0\0ab"sv).bytes("x", 10).error().message,
              HasSubstr("3 bytes needed, 2 left"));
}

TEST(Wire, the_reader_refuses_values_outside_their_range) {
  EXPECT_FALSE(WireReader("\x02").boolean("x").ok());
  EXPECT_THAT(WireReader("\x02").enumerator("colour", Colour::green).error().message,
              HasSubstr("colour: 2 is not one of 0 to 1"));
  EXPECT_EQ(WireReader("\x05\0\0\0abcde"sv).bytes("x", 4).error().code, Errc::exhausted);
  EXPECT_THAT(WireReader("\x01\0\0\0\0"sv).text("x", 4).error().message, HasSubstr("holds a NUL"));
}

TEST(Wire, a_count_that_the_message_cannot_hold_is_refused) {
  const auto message = "\xFF\xFF\xFF\x7F\0\0\0\0"sv;
  EXPECT_THAT(WireReader(message).count("argv", 0xFFFFFFFF, 4).error().message,
              HasSubstr("2147483647 items announced, 4 bytes left"));
  EXPECT_EQ(WireReader(message).count("argv", 100, 4).error().code, Errc::exhausted);
  EXPECT_EQ(WireReader("\x01\0\0\0\0\0\0\0"sv).count("argv", 100, 4).value(), 1U);
}

// Random sequences of fields: each decodes to what was encoded, each prefix is refused, and no byte
// is left.
TEST(Wire, every_truncation_of_a_random_message_is_refused) {
  SeededRandom random(21);
  for (int round = 0; round < 300; ++round) {
    WireWriter writer;
    std::vector<std::uint64_t> kinds;
    std::vector<std::string> texts;
    for (std::uint64_t i = 0, n = 1 + random.below(6); i < n; ++i) {
      kinds.push_back(random.below(2));
      std::string text(random.below(20), '\0');
      for (char& c : text) c = static_cast<char>(random.next_u64());
      texts.push_back(text);
      kinds.back() == 0 ? writer.u64(text.size()) : writer.bytes("b", text, 20);
    }
    const std::string message = writer.finish().value();
    const auto read_all = [&](std::string_view bytes) -> Result<> {
      WireReader reader(bytes);
      for (std::size_t i = 0; i < kinds.size(); ++i) {
        if (kinds[i] == 0) {
          EXPECT_EQ(TRY(reader.u64("n")), texts[i].size());
        } else {
          EXPECT_EQ(TRY(reader.bytes("b", 20)), texts[i]);
        }
      }
      return reader.finish();
    };
    ASSERT_TRUE(read_all(message).ok());
    ASSERT_FALSE(read_all(message + "x").ok());
    for (std::size_t n = 0; n < message.size(); ++n) {
      ASSERT_FALSE(read_all(std::string_view(message).substr(0, n)).ok());
    }
  }
}

}  // namespace
}  // namespace tare
