#include "snapshot/tree_copy.h"

#include "sys/files.h"

namespace tare::snapshot {

namespace {
constexpr std::size_t kCopyBytes = 256 * 1024;
}

Result<> copy_content(int from, TreeWriter& writer, TreeWriter::File& file, std::uint64_t size,
                      const OnProgress& progress) {
  std::vector<std::byte> buffer(
      static_cast<std::size_t>(std::min<std::uint64_t>(size, kCopyBytes)));
  for (std::uint64_t offset = 0; offset < size;) {
    const auto data = TRY(sys::next_data(from, offset));
    if (!data || data->begin >= size) return ok();
    const std::uint64_t end = std::min(data->end, size);
    for (offset = data->begin; offset < end;) {
      const auto want = std::span(buffer).first(
          std::min<std::uint64_t>(buffer.size(), end - offset));
      const std::size_t n = TRY(sys::read_at(from, want, offset));
      if (n == 0) return ok();  // cut short since: the rest reads as zeros
      TRY(writer.write(file, want.first(n), offset));
      offset += n;
      if (progress) TRY(progress(writer.entries(), writer.bytes()));
    }
  }
  return ok();
}

}  // namespace tare::snapshot
