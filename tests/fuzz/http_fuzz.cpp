// The HTTP codec on hostile bytes, as server and as client. The first byte chooses the side and how
// the rest is cut; the whole and the pieces must give the same messages, and what is accepted must
// be bounded and consistent.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/codec.h"
#include "http/url.h"

namespace {

using tare::http::Decoder;

struct Outcome {
  std::string log;  // starts and bodies in order
  bool refused = false;
};

Outcome decode(Decoder::Side side, std::string_view bytes, std::size_t piece) {
  Decoder decoder(side, {.head_bytes = 2'000, .line_bytes = 500, .fields = 20});
  Outcome out;
  std::vector<char> pending;
  for (;;) {
    auto step = decoder.next({pending.data(), pending.size()});
    if (!step) {
      out.refused = true;
      return out;
    }
    CHECK(step->consumed <= pending.size());
    if (step->event == Decoder::Event::head) {
      const bool server = side == Decoder::Side::server;
      out.log += server ? "\n" + decoder.request().target + "\n"
                        : "\n" + std::to_string(decoder.response().status) + "\n";
      if (server) (void)tare::http::parse_target(decoder.request().target);
    }
    if (step->event == Decoder::Event::body) {
      CHECK(!step->body.empty());
      CHECK(step->body.data() >= pending.data());
      CHECK(step->body.data() + step->body.size() <= pending.data() + step->consumed);
      out.log += step->body;
    }
    if (step->event == Decoder::Event::end) out.log += "\nend";
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(step->consumed));
    if (step->event != Decoder::Event::need_more) continue;
    CHECK(pending.size() <= 2'001);  // what waits for more is a head or a chunk's header
    if (bytes.empty()) return out;
    const auto size = std::min(piece, bytes.size());
    pending.insert(pending.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    bytes.remove_prefix(size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto side = (data[0] & 1U) != 0 ? Decoder::Side::client : Decoder::Side::server;
  const std::size_t piece = 1 + (data[0] >> 1U);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = decode(side, bytes, bytes.size() + 1);
  const auto pieces = decode(side, bytes, piece);
  CHECK(whole.refused == pieces.refused);
  CHECK(whole.log == pieces.log);
  return 0;
}
