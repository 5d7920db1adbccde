// The output of one run on disk: stdout.log and stderr.log, whose lengths are the offsets of the
// streams, and frames.log (kept_frames.h). Bytes go from the pipe into the file inside the kernel
// (splice), so a daemon that dies loses nothing that it took out of the pipe; opening the log again
// goes on from there.
//
//   0 ......... kept ......... | gap, given back to the disk | ... window ... | length
//               both streams   cut                           window           the end so far
//               together <= kept_bytes                       both together <= window_bytes (about)
//
// Up to `kept_bytes` everything is kept. Beyond, the streams' lengths go on growing, and only a
// window before the end stays. While a reader is attached, or is being waited for, the window
// begins where that reader is, and pump() takes no more than fits (backpressure on the program).
// Otherwise the window just moves along and the rest is dropped.
//
// Owner: tared, one OutputLog for each run, also for reading one that has ended. Threads: one.
// Units: bytes; times in ms. Errors: the file system's; Errc::exhausted for reading what was
// dropped; Errc::conflict for a reader that another one has replaced. What never happens: a byte is
// lost between pipe and file; a byte below the cut changes; a byte beyond the limit is taken; the
// disk space used exceeds the two bounds (plus a step).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/limits.h"
#include "runs/kept_frames.h"

namespace tare::runs {

enum class PumpState : std::uint8_t {
  drained,  // the pipe is empty for now
  ended,    // the pipe is at its end: no writer is left
  blocked,  // the window is full: a reader has to read first
  more,     // there may be more; it is somebody else's turn
  refused,  // there is more than the limit allows: it stays in the pipe
};
struct Pumped {
  std::uint64_t bytes = 0;
  PumpState state = PumpState::drained;
};

struct OutputLogOptions {
  std::uint64_t kept_bytes = kKeptLogBytes;
  std::uint64_t window_bytes = std::uint64_t{8} << 20;
  // Beyond the cut, wait for a reader to attach instead of dropping.
  bool wait_for_reader = false;
};

// What of a stream can be read: [0, kept) and [window, length).
struct Extent {
  std::uint64_t kept = 0, window = 0, length = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

class OutputLog {
 public:
  // `folder` must exist; the files are made when they are not there (0600). Refuses a file system
  // without holes in files: the bound on disk use could not be kept.
  static Result<std::unique_ptr<OutputLog>> open(int dir, std::string_view folder,
                                                 const OutputLogOptions& options,
                                                 const Clock& clock);
  OutputLog(const OutputLog&) = delete;
  OutputLog& operator=(const OutputLog&) = delete;

  // Moves what is in the pipe to the end of the stream; at most kPumpBytes at once. Never waits.
  // From a terminal's master, `ended` is no end for good (pipe_file.h).
  enum class From : std::uint8_t { pipe, terminal };
  Result<Pumped> pump(Stream stream, int pipe, From from = From::pipe);
  static constexpr std::uint64_t kPumpBytes = std::uint64_t{1} << 20;

  // Both streams together never get longer than this; 0: no limit.
  void set_limit(std::uint64_t bytes) { limit_bytes_ = bytes; }

  // How many bytes pump() would take now, but for the limit; 0: wait until a reader has read.
  std::uint64_t may_read() const;

  // 0 at the end. Never crosses the gap.
  Result<std::size_t> read_at(Stream stream, std::uint64_t offset,
                              std::span<std::byte> buffer) const;
  Extent extent(Stream stream) const;
  const Offsets& lengths() const { return lengths_; }
  // Where the kept part of each stream ends; nullopt while everything is kept.
  std::optional<Offsets> cut() const;
  const KeptFrames& frames() const { return frames_; }

  // The reader that the program waits for beyond the cut, by a ticket; a new one takes over from
  // the one before. See log_reader.h, which does this.
  std::uint64_t attach(const Offsets& from);
  Result<> consumed(std::uint64_t ticket, const Offsets& until);
  void detach(std::uint64_t ticket);  // nothing happens when another has taken over
  void wait_for_reader(bool wait);

  Result<> sync();  // on the disk when this returns

 private:
  struct Files {
    sys::UniqueFd out, err;
    int operator[](Stream stream) const { return (stream == Stream::out ? out : err).get(); }
  };

  OutputLog(Files files, KeptFrames frames, const OutputLogOptions& options, const Clock& clock)
      : files_(std::move(files)), frames_(std::move(frames)), options_(options), clock_(clock) {}
  Result<> recover();
  Result<> recover_cut();
  Result<> frame_all();
  Result<> trim();
  Result<> trim(Stream stream, std::uint64_t step);
  std::uint64_t below_limit() const;
  bool holding() const { return reader_.has_value() || options_.wait_for_reader; }

  Files files_;
  KeptFrames frames_;
  OutputLogOptions options_;
  const Clock& clock_;
  std::uint64_t limit_bytes_ = 0;
  Offsets lengths_;
  Offsets read_until_;  // of the attached reader, or of the last one
  std::optional<std::uint64_t> reader_;
  std::uint64_t next_ticket_ = 1;
};

}  // namespace tare::runs
