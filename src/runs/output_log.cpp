#include "runs/output_log.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include <fmt/core.h>

#include "sys/entries.h"
#include "sys/files.h"
#include "sys/pipe_file.h"

namespace tare::runs {

namespace {

// Holes begin and end on this boundary, a multiple of every file system's block.
constexpr std::uint64_t kHoleAlignment = std::uint64_t{64} << 10;
constexpr std::uint64_t kHoleStep = std::uint64_t{1} << 20;  // fewer, larger holes

std::uint64_t align_down(std::uint64_t offset) { return offset - offset % kHoleAlignment; }
std::uint64_t align_up(std::uint64_t offset) { return align_down(offset + kHoleAlignment - 1); }

Result<sys::UniqueFd> open_file(int folder, std::string_view name) {
  return sys::open_beneath(folder, name, O_RDWR | O_CREAT, 0600);
}

PumpState state_of(sys::PipeState pipe) {
  return pipe == sys::PipeState::ended ? PumpState::ended : PumpState::drained;
}

Result<std::uint64_t> size_of(int fd) {
  return static_cast<std::uint64_t>(TRY(sys::stat_fd(fd)).st_size);
}

}  // namespace

Result<std::unique_ptr<OutputLog>> OutputLog::open(int dir, std::string_view folder,
                                                   const OutputLogOptions& options,
                                                   const Clock& clock) {
  const auto at = TRY(sys::open_at(dir, folder, O_RDONLY | O_DIRECTORY).context("output log"));
  Files files{TRY(open_file(at.get(), "stdout.log")), TRY(open_file(at.get(), "stderr.log"))};
  const Offsets lengths{TRY(size_of(files.out.get())), TRY(size_of(files.err.get()))};
  for (const Stream stream : kStreams) {  // behind the end: nothing to lose, only to learn
    TRY(sys::punch_hole(files[stream], align_up(lengths[stream]), kHoleAlignment)
            .context("output log: the file system cannot make holes in files"));
  }
  auto frames = TRY(
      KeptFrames::open(TRY(open_file(at.get(), "frames.log")), lengths, clock.wall_ms())
          .context("output log: frames.log"));
  std::unique_ptr<OutputLog> log(
      new OutputLog(std::move(files), std::move(frames), options, clock));
  log->lengths_ = lengths;
  TRY(log->recover().context("output log"));
  return log;
}

// The files' lengths are the truth; frames.log may lag behind them.
Result<> OutputLog::recover() {
  if (!frames_.cut() && lengths_.sum() > options_.kept_bytes) TRY(recover_cut());
  TRY(frame_all());
  if (!frames_.cut()) return ok();
  read_until_ = frames_.window();
  for (const Stream stream : kStreams) {  // a hole that was announced, and perhaps not made
    const std::uint64_t from = align_up(frames_.framed()[stream]);
    const std::uint64_t to = align_down(frames_.window()[stream]);
    if (from < to) TRY(sys::punch_hole(files_[stream], from, to - from));
  }
  return trim();
}

// More than is kept, and no cut on record: frames.log was damaged, or less is kept than before.
// What lies before the first hole is content; a hole is not, and what follows it is given up.
Result<> OutputLog::recover_cut() {
  for (const Stream stream : kStreams) {
    const auto data = TRY(sys::next_data(files_[stream], 0));
    const std::uint64_t solid = data && data->begin == 0 ? std::min(data->end, lengths_[stream])
                                                         : 0;
    const std::uint64_t framed = frames_.framed()[stream];
    if (solid > framed) TRY(frames_.add(stream, solid - framed, clock_.wall_ms()));
  }
  TRY(frames_.mark_cut());
  for (const Stream stream : kStreams) {
    if (frames_.framed()[stream] < lengths_[stream]) {
      TRY(frames_.move_window(stream, lengths_[stream]));
    }
  }
  return ok();
}

// A record for every byte in the files that has none yet.
Result<> OutputLog::frame_all() {
  for (const Stream stream : kStreams) {
    const std::uint64_t missing = lengths_[stream] - frames_.framed()[stream];
    if (!frames_.cut() && missing > 0) TRY(frames_.add(stream, missing, clock_.wall_ms()));
  }
  return ok();
}

Result<Pumped> OutputLog::pump(Stream stream, int pipe, From from) {
  const auto move = from == From::pipe ? sys::splice_to_file : sys::copy_to_file;
  Pumped pumped{0, PumpState::more};
  TRY(frame_all().context("output log"));  // left over from a disk that was full
  while (pumped.bytes < kPumpBytes) {
    if (!frames_.cut() && lengths_.sum() >= options_.kept_bytes) TRY(frames_.mark_cut());
    if (below_limit() == 0) {
      const auto waiting = TRY(sys::peek_pipe(pipe).context("output log"));
      pumped.state = waiting == sys::PipeState::moved ? PumpState::refused : state_of(waiting);
      return pumped;
    }
    const std::uint64_t room = std::min({may_read(), kPumpBytes - pumped.bytes, below_limit()});
    if (room == 0) {
      pumped.state = PumpState::blocked;
      return pumped;
    }
    const auto moved = TRY(
        move(pipe, files_[stream], lengths_[stream], room).context("output log"));
    lengths_[stream] += moved.bytes;
    pumped.bytes += moved.bytes;
    if (moved.state != sys::PipeState::moved) {
      pumped.state = state_of(moved.state);
      return pumped;
    }
    TRY(frame_all().context("output log"));
    TRY(trim().context("output log"));
  }
  return pumped;
}

std::uint64_t OutputLog::below_limit() const {
  if (limit_bytes_ == 0) return kPumpBytes;
  return lengths_.sum() < limit_bytes_ ? limit_bytes_ - lengths_.sum() : 0;
}

std::uint64_t OutputLog::may_read() const {
  // Up to the cap exactly, so that the cut is on record before the first byte beyond it.
  if (!frames_.cut()) {
    return lengths_.sum() < options_.kept_bytes ? options_.kept_bytes - lengths_.sum() : kPumpBytes;
  }
  if (!holding()) return kPumpBytes;
  std::uint64_t unread = 0;
  for (const Stream stream : kStreams) {
    unread += lengths_[stream] - std::max(read_until_[stream], frames_.framed()[stream]);
  }
  return unread < options_.window_bytes ? options_.window_bytes - unread : 0;
}

Extent OutputLog::extent(Stream stream) const {
  const std::uint64_t length = lengths_[stream];
  if (!frames_.cut()) return {length, length, length};
  return {frames_.framed()[stream], frames_.window()[stream], length};
}

std::optional<Offsets> OutputLog::cut() const {
  // The record is written when the kept part is full: only what comes after it makes a cut.
  if (!frames_.cut() || lengths_ == frames_.framed()) return std::nullopt;
  return frames_.framed();
}

Result<std::size_t> OutputLog::read_at(Stream stream, std::uint64_t offset,
                                       std::span<std::byte> buffer) const {
  const Extent there = extent(stream);
  if (offset >= there.length) return std::size_t{0};
  if (offset >= there.kept && offset < there.window) {
    return Error{Errc::exhausted,
                 fmt::format("output bytes {} to {} were not kept", there.kept, there.window)};
  }
  const bool gap_ahead = offset < there.kept && there.kept < there.window;
  const std::uint64_t end = gap_ahead ? there.kept : there.length;
  const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end - offset);
  return sys::read_at(files_[stream], buffer.first(wanted), offset);
}

// Without a reader the last half of the window stays for each stream, so that one who comes finds
// the newest output; with one, nothing goes that it has not read.
Result<> OutputLog::trim() {
  if (!frames_.cut()) return ok();
  const std::uint64_t step = std::clamp(options_.window_bytes / 8, kHoleAlignment, kHoleStep);
  for (const Stream stream : kStreams) TRY(trim(stream, step));
  return ok();
}

Result<> OutputLog::trim(Stream stream, std::uint64_t step) {
  const std::uint64_t kept = frames_.framed()[stream], begin = frames_.window()[stream];
  const std::uint64_t tail = options_.window_bytes / 2;
  const std::uint64_t rolling = lengths_[stream] > tail ? lengths_[stream] - tail : 0;
  const std::uint64_t needed_from = holding() ? read_until_[stream] : rolling;
  // The block with the cut in it stays whole; so holes start on the boundary after it.
  const std::uint64_t from = std::max(align_down(begin), align_up(kept));
  const std::uint64_t to = align_down(std::min(needed_from, lengths_[stream]));
  if (to < from + step) return ok();
  TRY(frames_.move_window(stream, to));
  return sys::punch_hole(files_[stream], from, to - from);
}

std::uint64_t OutputLog::attach(const Offsets& from) {
  const Offsets first = frames_.cut() ? frames_.window() : Offsets{};
  for (const Stream stream : kStreams) {
    read_until_[stream] = std::clamp(from[stream], first[stream], lengths_[stream]);
  }
  reader_ = next_ticket_++;
  return *reader_;
}

Result<> OutputLog::consumed(std::uint64_t ticket, const Offsets& until) {
  if (reader_ != ticket) {
    return Error{Errc::conflict, "another reader has attached to this run's output"};
  }
  for (const Stream stream : kStreams) {
    CHECK(until[stream] <= lengths_[stream]);
    read_until_[stream] = std::max(read_until_[stream], until[stream]);
  }
  return trim();
}

void OutputLog::detach(std::uint64_t ticket) {
  if (reader_ == ticket) reader_.reset();
}

void OutputLog::wait_for_reader(bool wait) {
  options_.wait_for_reader = wait;
  // While nobody was waited for, the window may have moved past where the last reader was.
  if (!frames_.cut()) return;
  for (const Stream stream : kStreams) {
    read_until_[stream] = std::max(read_until_[stream], frames_.window()[stream]);
  }
}

Result<> OutputLog::sync() {
  for (const Stream stream : kStreams) TRY(sys::sync_data(files_[stream]));
  return frames_.sync();
}

}  // namespace tare::runs
