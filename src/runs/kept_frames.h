// frames.log: in which order the kept bytes of stdout and stderr came, and when. Records of 16
// bytes, little-endian: u8 kind, three zero bytes, u32 length, u64 value.
//
//   start   | first record; value = wall time in ms       window out, window err | value = offset
//   where out err | `length` bytes of that stream;              |   the bytes beyond the cut begin
//   (rewritten
//           |   value = ms since start                    |   as the window moves); always the last
//           two
//   cut     | the kept part ends here
//
// Bytes of one stream within kCoalesceMs share a record, and there is about one record for every
// 256 bytes at most (plus a fixed number), so a program that writes byte by byte cannot make this
// file large. Beyond that, bytes are counted to the last record of their stream: only the last two
// records ever grow.
//
// Owner: OutputLog. Threads: one. Errors: the file system's. What never happens: a record for bytes
// that are not in the stream's file yet; a damaged file is trusted (open() cuts it back to what
// holds true).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::runs {

enum class Stream : std::uint8_t { out = 0, err = 1 };
inline constexpr Stream kStreams[] = {Stream::out, Stream::err};

// One number for each stream.
struct Offsets {
  std::uint64_t out = 0, err = 0;
  std::uint64_t& operator[](Stream stream) { return stream == Stream::out ? out : err; }
  std::uint64_t operator[](Stream stream) const { return stream == Stream::out ? out : err; }
  std::uint64_t sum() const { return out + err; }
  friend bool operator==(const Offsets&, const Offsets&) = default;
};

struct KeptFrame {
  Stream stream = Stream::out;
  std::uint32_t length = 0;
  std::uint64_t at_ms = 0;  // since the start
  friend bool operator==(const KeptFrame&, const KeptFrame&) = default;
};

class KeptFrames {
 public:
  static constexpr std::size_t kRecordBytes = 16;
  static constexpr std::uint64_t kCoalesceMs = 10;
  static constexpr std::uint64_t kFreeFrames = 65'536;  // 1 MiB of records, whatever the output
  static constexpr std::uint64_t
      kBytesPerFrame = 256;  // beyond those, one record more for so many bytes

  // Reads what is there (an empty file is begun). Records that speak of more bytes than `lengths`
  // has, and all that follow, are dropped.
  static Result<KeptFrames> open(sys::UniqueFd file, const Offsets& lengths, std::uint64_t now_ms);

  // `bytes` more of `stream` are in its file. Not after the cut.
  Result<> add(Stream stream, std::uint64_t bytes, std::uint64_t now_ms);
  Result<> mark_cut();
  // After the cut only.
  Result<> move_window(Stream stream, std::uint64_t offset);

  const Offsets& framed() const { return framed_; }  // bytes that have a record
  bool cut() const { return cut_; }
  const Offsets& window() const { return window_; }  // after the cut
  std::uint64_t start_ms() const { return start_ms_; }
  std::uint64_t count() const { return count_; }
  // Records below this index never change again.
  std::uint64_t closed() const { return count_ > 2 ? count_ - 2 : 0; }
  // Frames from `first` on, as many as fit; 0 at the end.
  Result<std::size_t> read(std::uint64_t first, std::span<KeptFrame> frames) const;
  Result<> sync();

 private:
  struct Record;
  using Bytes = std::array<std::byte, kRecordBytes>;
  static Bytes encode(const Record& record);
  static std::optional<Record> decode(std::span<const std::byte> bytes);
  static Bytes encode_frame(const KeptFrame& frame);

  explicit KeptFrames(sys::UniqueFd file) : file_(std::move(file)) {}
  Result<> begin(std::uint64_t now_ms);
  Result<> recover(std::uint64_t file_bytes, const Offsets& lengths);
  bool accept(const Record& record, const Offsets& lengths);
  Result<bool> recover_cut(std::uint64_t file_bytes, const Offsets& lengths);
  Result<> add_piece(Stream stream, std::uint32_t bytes, std::uint64_t at_ms);
  KeptFrame* growable(Stream stream, std::uint32_t bytes, std::uint64_t at_ms);
  Result<> store(std::uint64_t index, const KeptFrame& frame);

  sys::UniqueFd file_;
  std::uint64_t start_ms_ = 0;
  std::uint64_t count_ = 0;
  std::array<KeptFrame, 2> last_;  // [1] is the newest; valid as far as count_ says
  Offsets framed_;
  bool cut_ = false;
  Offsets window_;
};

}  // namespace tare::runs
