#include "snapshot/tar_stream.h"

#include <archive.h>

#include <algorithm>

namespace tare::snapshot {

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::size_t kBlockBytes = 512;
constexpr std::size_t kTailBytes = 2 * kBlockBytes;

// One that is named is the only one: what comes out is not looked at for a further one.
Result<> set_filters(archive* reader, Compression compression) {
  int set = ARCHIVE_OK;
  switch (compression) {
    case Compression::any:
      for (const auto support : {archive_read_support_filter_gzip, archive_read_support_filter_zstd,
                                 archive_read_support_filter_xz}) {
        if (support(reader) != ARCHIVE_OK) return archive_error(reader, "decompressor");
      }
      return ok();
    case Compression::none: set = archive_read_append_filter(reader, ARCHIVE_FILTER_NONE); break;
    case Compression::gzip: set = archive_read_append_filter(reader, ARCHIVE_FILTER_GZIP); break;
    case Compression::zstd: set = archive_read_append_filter(reader, ARCHIVE_FILTER_ZSTD); break;
  }
  if (set != ARCHIVE_OK) return archive_error(reader, "decompressor");
  return ok();
}

}  // namespace

void ArchiveFree::operator()(archive* reader) const { archive_read_free(reader); }

Error archive_error(archive* reader, std::string_view what) {
  const char* said = archive_error_string(reader);
  std::string text = said != nullptr ? said : "damaged archive";
  if (text == "Unrecognized archive format")  // libarchive's words
    text =
        "is no archive: an OCI or docker archive or a tar expected, plain or in gzip, zstd or xz";
  return Error{Errc::invalid, std::string(what) + ": " + text};
}

TarStream::TarStream(ArchiveReader reader, std::uint64_t max_bytes, Sha256* hash)
    : reader_(std::move(reader)), max_bytes_(max_bytes), hash_(hash), buffer_(kBufferBytes) {}

Result<TarStream> TarStream::open(int fd, std::uint64_t max_bytes, Compression compression,
                                  Sha256* hash) {
  ArchiveReader reader(archive_read_new());
  CHECK(reader != nullptr);
  // "raw" hands out what the decompressors deliver; "empty" is how it says that there was nothing.
  CHECK(archive_read_support_format_raw(reader.get()) == ARCHIVE_OK);
  CHECK(archive_read_support_format_empty(reader.get()) == ARCHIVE_OK);
  TRY(set_filters(reader.get(), compression));
  if (archive_read_open_fd(reader.get(), fd, kBufferBytes) != ARCHIVE_OK) {
    return archive_error(reader.get(), "archive");
  }
  archive_entry* entry = nullptr;
  const int found = archive_read_next_header(reader.get(), &entry);
  if (found == ARCHIVE_EOF) return Error{Errc::invalid, "archive: it is empty"};
  if (found != ARCHIVE_OK) return archive_error(reader.get(), "archive");
  return TarStream(std::move(reader), max_bytes, hash);
}

Result<std::span<const std::byte>> TarStream::next() {
  if (ended_) return std::span<const std::byte>();
  const auto n = archive_read_data(reader_.get(), buffer_.data(), buffer_.size());
  if (n < 0) return archive_error(reader_.get(), "archive");
  ended_ = n == 0;
  const auto bytes = std::span<const std::byte>(buffer_).first(static_cast<std::size_t>(n));
  if (bytes.size() > max_bytes_ - total_) {
    return Error{Errc::exhausted, "archive: it is longer than its limits allow (" +
                                      std::to_string(max_bytes_) + " bytes, decompressed)"};
  }
  total_ += bytes.size();
  if (hash_ != nullptr) hash_->update(bytes);
  remember(bytes);
  return bytes;
}

void TarStream::remember(std::span<const std::byte> bytes) {
  const auto last = bytes.last(std::min(bytes.size(), kTailBytes));
  tail_.append(reinterpret_cast<const char*>(last.data()), last.size());
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

Result<> TarStream::drain() {
  while (!ended_) (void)TRY(next());
  const bool marked = tail_.size() == kTailBytes && total_ % kBlockBytes == 0 &&
                      std::all_of(tail_.begin(), tail_.end(), [](char c) { return c == 0; });
  if (!marked) return Error{Errc::invalid, "archive: its end marker is missing; it was cut short"};
  return ok();
}

}  // namespace tare::snapshot
