// The log stream decoder of the CLI, fed what a hostile server could send: split at a place the
// input chooses.
#include <cstddef>
#include <cstdint>

#include "model/log_frames.h"

namespace {

struct Count : tare::model::FrameSink {
  tare::Result<> on_output(tare::model::FrameType, std::string_view bytes) override {
    CHECK(!bytes.empty());
    output += bytes.size();
    return tare::ok();
  }
  tare::Result<> on_cut(std::string_view json) override {
    control += json.size();
    return tare::ok();
  }
  tare::Result<> on_end(std::string_view json) override {
    control += json.size();
    ++ends;
    return tare::ok();
  }
  std::size_t output = 0, control = 0, ends = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t split = data[0] < wire.size() ? data[0] : wire.size();

  Count whole, parts;
  tare::model::FrameDecoder one, two;
  const bool a = one.feed(wire, whole).ok();
  const bool b = two.feed(wire.substr(0, split), parts).ok() &&
                 two.feed(wire.substr(split), parts).ok();
  CHECK(a == b);
  CHECK(whole.output == parts.output && whole.control == parts.control && whole.ends == parts.ends);
  CHECK(whole.ends <= 1 && whole.output + whole.control <= wire.size());
  CHECK(one.ended() == two.ended());
  return 0;
}
