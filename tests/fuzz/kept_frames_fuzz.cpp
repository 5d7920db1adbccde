// frames.log as a crash or a hostile disk may leave it: opened against files of any length, read
// back, written on. The first two bytes choose the lengths of the streams, the rest is the file.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runs/kept_frames.h"
#include "sys/files.h"

using namespace tare;

namespace {

sys::UniqueFd file_with(std::string_view text) {
  sys::UniqueFd file(::memfd_create("frames", MFD_CLOEXEC));
  CHECK(file.valid() && sys::write_all(file.get(), text).ok());
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const runs::Offsets lengths{data[0] * std::uint64_t{3}, data[1] * std::uint64_t{0x101010101}};
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  auto frames = runs::KeptFrames::open(file_with(text), lengths, 1000);
  CHECK(frames.ok());
  CHECK(frames->framed().out <= lengths.out && frames->framed().err <= lengths.err);
  std::vector<runs::KeptFrame> all(frames->count() + 1);
  runs::Offsets sum;
  for (std::uint64_t at = 0; at < frames->count();) {
    const auto read = frames->read(at, all);
    CHECK(read.ok() && *read > 0);
    for (std::size_t i = 0; i < *read; ++i) sum[all[i].stream] += all[i].length;
    at += *read;
  }
  CHECK(sum == frames->framed());
  if (frames->cut()) return 0;
  CHECK(frames->add(runs::Stream::err, 5, 2000).ok());
  CHECK(frames->mark_cut().ok());
  CHECK(frames->move_window(runs::Stream::out, frames->framed().out + 9).ok());
  return 0;
}
