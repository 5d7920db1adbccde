// Reads the output of a run, live or ended: the kept part in the order it came, then whatever of
// each stream is there, with the gaps named. A piece at a time, into the caller's buffer.
//
// Roles: a follower takes what it finds; an attached reader is waited for beyond the cut
// (output_log.h), and a piece counts as read when the next one is asked for: until then it stays on
// the disk, so that one who dies with it in the buffer loses nothing. The destructor detaches.
// Owner: one request. Threads: that of the log, which must outlive the reader. Errors:
// Errc::invalid for offsets beyond the end; Errc::conflict when another reader has taken over. What
// never happens: a byte twice, a byte left out without a piece that says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runs/output_log.h"

namespace tare::runs {

struct Piece {
  Stream stream = Stream::out;
  std::uint64_t skipped = 0;  // bytes before `offset` that were not kept
  std::uint64_t offset = 0;   // of the first byte in the buffer
  std::size_t bytes = 0;      // in the buffer
  // Nothing skipped and no bytes: that is all for now.
  bool caught_up() const { return skipped == 0 && bytes == 0; }
};

class LogReader {
 public:
  enum class Role : std::uint8_t { follower, attached };

  static Result<LogReader> open(OutputLog& log, const Offsets& from, Role role);
  LogReader(LogReader&& other) noexcept;
  LogReader& operator=(LogReader&&) = delete;
  ~LogReader();

  Result<Piece> next(std::span<std::byte> buffer);
  const Offsets& position() const { return position_; }

 private:
  LogReader(OutputLog& log, const Offsets& from, std::uint64_t ticket)
      : log_(&log), position_(from), ticket_(ticket) {}
  Result<Piece> find(std::span<std::byte> buffer);
  Result<Piece> take(Stream stream, std::uint64_t end, std::span<std::byte> buffer);
  Result<Piece> after_the_cut(std::span<std::byte> buffer);
  Result<> load_frames();

  OutputLog* log_;  // nullptr: moved away
  Offsets position_;
  std::uint64_t ticket_;  // 0: a follower
  // Where the frame `next_frame_` begins in each stream; all before it have been passed.
  std::uint64_t next_frame_ = 0;
  Offsets begin_;
  std::vector<KeptFrame> loaded_;  // closed frames from `loaded_from_` on
  std::uint64_t loaded_from_ = 0;
  Stream turn_ = Stream::out;  // beyond the cut the streams take turns
};

}  // namespace tare::runs
