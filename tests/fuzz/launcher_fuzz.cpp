// What tare-launcher reads from tared, what tared reads from the launcher, what the launcher reads
// from tare-init, what tare-init reads as its plan, and what the launcher and its makers read from
// each other: all hostile.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/launch/report.h"
#include "sandbox/make/protocol.h"
#include "sandbox/plan/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare::sandbox;
  if (size < 2) return 0;
  const std::size_t fds = data[1] % 9;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 6) {
    case 0:
      if (auto message = decode_to_launcher(bytes, fds)) CHECK(encode(*message).value() == bytes);
      break;
    case 1:
      if (auto message = decode_from_launcher(bytes, fds)) {
        const auto* welcome = std::get_if<WelcomeMessage>(&*message);
        // Of another protocol nothing more is read.
        if (welcome != nullptr && welcome->protocol != kLauncherProtocol) break;
        CHECK(encode(*message).value() == bytes);
      }
      break;
    case 2:
      (void)parse_report(bytes);
      (void)parse_denied(bytes);
      break;
    case 3:
      if (auto steps = decode(bytes)) CHECK(encode(*steps).value() == bytes);
      break;
    case 4:
      if (auto order = decode_to_maker(bytes)) CHECK(encode_to_maker(*order).value() == bytes);
      break;
    case 5:
      if (auto answer = decode_from_maker(bytes))
        CHECK(encode_from_maker(*answer).value() == bytes);
      break;
  }
  return 0;
}
