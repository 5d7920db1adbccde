// The reader of our binary messages. The input's first bytes choose which fields are asked for;
// what could be read is written again and must give the same bytes, and no read may go beyond the
// message.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/wire.h"

namespace {

constexpr std::size_t kMaxFields = 16;
constexpr std::size_t kMaxBytes = 1000;

// Reads one field of the kind and writes it down; false when it was refused.
bool copy_field(std::uint8_t kind, tare::WireReader& reader, tare::WireWriter& writer) {
  const auto keep = [](auto result, auto write) {
    if (result.ok()) write(*result);
    return result.ok();
  };
  switch (kind % 8) {
    case 0: return keep(reader.u8("f"), [&](auto v) { writer.u8(v); });
    case 1: return keep(reader.u16("f"), [&](auto v) { writer.u16(v); });
    case 2: return keep(reader.u32("f"), [&](auto v) { writer.u32(v); });
    case 3: return keep(reader.u64("f"), [&](auto v) { writer.u64(v); });
    case 4: return keep(reader.boolean("f"), [&](auto v) { writer.boolean(v); });
    case 5:
      return keep(reader.text("f", kMaxBytes),
                  [&](const auto& v) { writer.text("f", v, kMaxBytes); });
    case 6:
      return keep(reader.bytes("f", kMaxBytes),
                  [&](const auto& v) { writer.bytes("f", v, kMaxBytes); });
    default:
      return keep(reader.count("f", kMaxBytes, 4), [&](auto v) {
        CHECK(v * 4 <= reader.left());
        writer.count("f", v, kMaxBytes);
      });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t fields = data[0] % kMaxFields;
  if (size < 1 + fields) return 0;
  const std::string_view message(reinterpret_cast<const char*>(data) + 1 + fields,
                                 size - 1 - fields);

  tare::WireReader reader(message);
  tare::WireWriter writer;
  for (std::size_t i = 0; i < fields; ++i) {
    if (!copy_field(data[1 + i], reader, writer)) break;
  }
  const auto written = writer.finish();
  // A field that was refused after its length was taken leaves less behind than was written; never
  // more.
  CHECK(written.ok() && message.starts_with(*written));
  CHECK(written->size() + reader.left() <= message.size());
  CHECK(reader.finish().ok() == (reader.left() == 0));
  return 0;
}
