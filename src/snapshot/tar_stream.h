// TarStream: the bytes of a tar archive behind a descriptor, decompressed (none, gzip, zstd, xz;
// whatever it begins like, or the one that is said), counted and bounded; remembers the last
// kilobyte, where a complete archive has its end marker.
//
// Owner: tar_import. Borrows the descriptor. Errors: Errc::invalid for a damaged stream,
// Errc::exhausted beyond `max_bytes`. Threads: one. Never happens: an external decompressor is
// started.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "snapshot/image/media_types.h"

struct archive;

namespace tare::snapshot {

struct ArchiveFree {
  void operator()(archive* reader) const;
};
using ArchiveReader = std::unique_ptr<archive, ArchiveFree>;

// libarchive's own words about its last failure.
Error archive_error(archive* reader, std::string_view what);

class TarStream {
 public:
  // `hash`, if any, is fed all that comes out; it outlives the stream.
  static Result<TarStream> open(int fd, std::uint64_t max_bytes,
                                Compression compression = Compression::any, Sha256* hash = nullptr);

  // The next bytes; empty at the end. Valid until the next call.
  Result<std::span<const std::byte>> next();
  // Reads what is left, and refuses an archive without its end marker.
  Result<> drain();
  // How many bytes came out so far.
  std::uint64_t total() const { return total_; }

 private:
  TarStream(ArchiveReader reader, std::uint64_t max_bytes, Sha256* hash);
  void remember(std::span<const std::byte> bytes);

  ArchiveReader reader_;
  std::uint64_t max_bytes_;
  Sha256* hash_;
  std::uint64_t total_ = 0;
  bool ended_ = false;
  std::vector<std::byte> buffer_;
  std::string tail_;  // at most the last two blocks
};

}  // namespace tare::snapshot
