// What tare-launcher reads from tared, what tared reads from the launcher, what the launcher reads
// from tare-init, and what tare-init reads as its plan: all hostile.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/launch/report.h"
#include "sandbox/plan/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tare::sandbox;
  if (size < 2) return 0;
  const std::size_t fds = data[1] % 9;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 4) {
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
    case 2: (void)parse_report(bytes); break;
    case 3:
      if (auto steps = decode(bytes)) CHECK(encode(*steps).value() == bytes);
      break;
  }
  return 0;
}
