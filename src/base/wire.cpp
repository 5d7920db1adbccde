#include "base/wire.h"

#include <limits>

#include <fmt/core.h>

#include "base/check.h"

namespace tare {

namespace {

Error refused(std::string_view field, std::string_view why) {
  return Error{Errc::invalid, fmt::format("message field {}: {}", field, why)};
}

Error too_large(std::string_view field, std::uint64_t size, std::size_t max,
                std::string_view unit) {
  return Error{Errc::exhausted, fmt::format("message field {}: {} {}, at most {} are allowed",
                                            field, size, unit, max)};
}

}  // namespace

void WireWriter::little_endian(std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i, value >>= 8U) out_ += static_cast<char>(value & 0xFFU);
}

void WireWriter::refuse(Error error) {
  if (state_.ok()) state_ = std::move(error);
}

void WireWriter::bytes(std::string_view field, std::string_view value, std::size_t max_bytes) {
  CHECK(max_bytes <= std::numeric_limits<std::uint32_t>::max());
  if (value.size() > max_bytes) return refuse(too_large(field, value.size(), max_bytes, "bytes"));
  u32(static_cast<std::uint32_t>(value.size()));
  out_ += value;
}

void WireWriter::text(std::string_view field, std::string_view value, std::size_t max_bytes) {
  if (value.find('\0') != std::string_view::npos) return refuse(refused(field, "holds a NUL"));
  bytes(field, value, max_bytes);
}

void WireWriter::count(std::string_view field, std::size_t items, std::size_t max_items) {
  CHECK(max_items <= std::numeric_limits<std::uint32_t>::max());
  if (items > max_items) return refuse(too_large(field, items, max_items, "items"));
  u32(static_cast<std::uint32_t>(items));
}

Result<std::string> WireWriter::finish() {
  std::string message = std::exchange(out_, {});
  Result<> state = std::exchange(state_, ok());
  if (!state.ok()) return std::move(state).error();
  return message;
}

Result<std::uint64_t> WireReader::little_endian(std::string_view field, std::size_t width) {
  if (rest_.size() < width) {
    return refused(field, fmt::format("{} bytes needed, {} left", width, rest_.size()));
  }
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) value = value << 8U | static_cast<unsigned char>(rest_[i]);
  rest_.remove_prefix(width);
  return value;
}

Result<std::uint8_t> WireReader::u8(std::string_view field) {
  return static_cast<std::uint8_t>(TRY(little_endian(field, 1)));
}
Result<std::uint16_t> WireReader::u16(std::string_view field) {
  return static_cast<std::uint16_t>(TRY(little_endian(field, 2)));
}
Result<std::uint32_t> WireReader::u32(std::string_view field) {
  return static_cast<std::uint32_t>(TRY(little_endian(field, 4)));
}
Result<std::uint64_t> WireReader::u64(std::string_view field) { return little_endian(field, 8); }
Result<std::int32_t> WireReader::i32(std::string_view field) {
  return static_cast<std::int32_t>(TRY(u32(field)));
}

Result<std::uint8_t> WireReader::u8_up_to(std::string_view field, std::uint8_t last) {
  const std::uint8_t value = TRY(u8(field));
  if (value > last) return refused(field, fmt::format("{} is not one of 0 to {}", value, last));
  return value;
}

Result<bool> WireReader::boolean(std::string_view field) { return TRY(u8_up_to(field, 1)) == 1; }

Result<std::string> WireReader::bytes(std::string_view field, std::size_t max_bytes) {
  const std::uint32_t size = TRY(u32(field));
  if (size > max_bytes) return too_large(field, size, max_bytes, "bytes");
  if (size > rest_.size()) {
    return refused(field, fmt::format("{} bytes needed, {} left", size, rest_.size()));
  }
  std::string out(rest_.substr(0, size));
  rest_.remove_prefix(size);
  return out;
}

Result<std::string> WireReader::text(std::string_view field, std::size_t max_bytes) {
  std::string out = TRY(bytes(field, max_bytes));
  if (out.find('\0') != std::string::npos) return refused(field, "holds a NUL");
  return out;
}

Result<std::size_t> WireReader::count(std::string_view field, std::size_t max_items,
                                      std::size_t min_item_bytes) {
  CHECK(min_item_bytes > 0);
  const std::uint32_t items = TRY(u32(field));
  if (items > max_items) return too_large(field, items, max_items, "items");
  if (items > rest_.size() / min_item_bytes) {
    return refused(field, fmt::format("{} items announced, {} bytes left", items, rest_.size()));
  }
  return std::size_t{items};
}

Result<> WireReader::finish() const {
  if (rest_.empty()) return ok();
  return Error{Errc::invalid, fmt::format("message: {} bytes too many at its end", rest_.size())};
}

}  // namespace tare
