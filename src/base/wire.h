// WireWriter and WireReader: the encoding of the fixed messages between our programs. Little-endian
// u8, u16, u32, u64; text and bytes with a u32 length in front; lists with a u32 count in front.
//
// Every field has a name (for errors) and every length a stated maximum. The bytes read are
// hostile, whoever sent them. Errors: Errc::invalid naming the field, or Errc::exhausted for a
// field above its maximum. Threads: a value of one. What never happens: a read beyond the message,
// an allocation larger than the message, a byte left over (finish() refuses), a NUL in text().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace tare {

// Collects a message. The first field that breaks its maximum is remembered and returned by
// finish(), so that the calls in between need no checks.
class WireWriter {
 public:
  // So that it does not grow, which leaves parts of it in memory that was given back.
  void reserve(std::size_t bytes) { out_.reserve(bytes); }
  void u8(std::uint8_t value) { little_endian(value, 1); }
  void u16(std::uint16_t value) { little_endian(value, 2); }
  void u32(std::uint32_t value) { little_endian(value, 4); }
  void u64(std::uint64_t value) { little_endian(value, 8); }
  void i32(std::int32_t value) { u32(static_cast<std::uint32_t>(value)); }
  void boolean(bool value) { u8(value ? 1 : 0); }
  template <class E>
    requires std::is_enum_v<E>
  void enumerator(E value) {
    static_assert(sizeof(E) == 1);
    u8(static_cast<std::uint8_t>(value));
  }

  void text(std::string_view field, std::string_view value, std::size_t max_bytes);
  void bytes(std::string_view field, std::string_view value, std::size_t max_bytes);
  // The items follow, written by the caller.
  void count(std::string_view field, std::size_t items, std::size_t max_items);

  // The message, or the first refusal. The writer is empty afterwards.
  Result<std::string> finish();

 private:
  void little_endian(std::uint64_t value, int width);
  void refuse(Error error);

  std::string out_;
  Result<> state_;
};

// Takes fields off a message, in the order they were written. Borrows the message.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  Result<std::uint8_t> u8(std::string_view field);
  Result<std::uint16_t> u16(std::string_view field);
  Result<std::uint32_t> u32(std::string_view field);
  Result<std::uint64_t> u64(std::string_view field);
  Result<std::int32_t> i32(std::string_view field);
  // 0 or 1; nothing else.
  Result<bool> boolean(std::string_view field);
  // An enumerator from 0 to `last`.
  template <class E>
    requires std::is_enum_v<E>
  Result<E> enumerator(std::string_view field, E last) {
    return static_cast<E>(TRY(u8_up_to(field, static_cast<std::uint8_t>(last))));
  }

  Result<std::string> text(std::string_view field, std::size_t max_bytes);
  Result<std::string> bytes(std::string_view field, std::size_t max_bytes);
  // How many items follow. `min_item_bytes` is the least that one item takes on the wire (at least
  // 1): a count that the rest of the message cannot hold is refused before anything is reserved for
  // it.
  Result<std::size_t> count(std::string_view field, std::size_t max_items,
                            std::size_t min_item_bytes);

  std::size_t left() const { return rest_.size(); }
  // Refuses a message that goes on.
  Result<> finish() const;

 private:
  Result<std::uint64_t> little_endian(std::string_view field, std::size_t width);
  Result<std::uint8_t> u8_up_to(std::string_view field, std::uint8_t last);

  std::string_view rest_;
};

}  // namespace tare
