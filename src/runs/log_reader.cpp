#include "runs/log_reader.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace tare::runs {

namespace {
constexpr std::size_t kLoadAtOnce = 512;  // frames
}

Result<LogReader> LogReader::open(OutputLog& log, const Offsets& from, Role role) {
  for (const Stream stream : kStreams) {
    if (from[stream] > log.lengths()[stream]) {
      return Error{Errc::invalid, fmt::format("{}: offset {} is beyond the end, {}",
                                              stream == Stream::out ? "stdout_from" : "stderr_from",
                                              from[stream], log.lengths()[stream])};
    }
  }
  return LogReader(log, from, role == Role::attached ? log.attach(from) : 0);
}

LogReader::LogReader(LogReader&& other) noexcept
    : log_(std::exchange(other.log_, nullptr)),
      position_(other.position_),
      ticket_(other.ticket_),
      next_frame_(other.next_frame_),
      begin_(other.begin_),
      loaded_(std::move(other.loaded_)),
      loaded_from_(other.loaded_from_),
      turn_(other.turn_) {}

LogReader::~LogReader() {
  if (log_ != nullptr && ticket_ != 0) log_->detach(ticket_);
}

Result<Piece> LogReader::next(std::span<std::byte> buffer) {
  CHECK(!buffer.empty());
  // Who comes back has passed the piece before on.
  if (ticket_ != 0) TRY(log_->consumed(ticket_, position_));
  return find(buffer);
}

Result<> LogReader::load_frames() {
  loaded_.resize(kLoadAtOnce);
  const std::uint64_t closed = log_->frames().closed() - next_frame_;
  const std::size_t wanted = std::min<std::uint64_t>(kLoadAtOnce, closed);
  const std::size_t read = TRY(log_->frames().read(next_frame_, std::span(loaded_).first(wanted)));
  loaded_.resize(read);
  loaded_from_ = next_frame_;
  return ok();
}

Result<Piece> LogReader::find(std::span<std::byte> buffer) {
  const KeptFrames& frames = log_->frames();
  while (next_frame_ < frames.closed()) {
    if (next_frame_ < loaded_from_ || next_frame_ >= loaded_from_ + loaded_.size()) {
      TRY(load_frames());
    }
    const KeptFrame& frame = loaded_[next_frame_ - loaded_from_];
    const std::uint64_t end = begin_[frame.stream] + frame.length;
    if (position_[frame.stream] < end) return take(frame.stream, end, buffer);
    begin_[frame.stream] = end;
    ++next_frame_;
  }
  // The last two may still grow: take what they have, and come back to them.
  std::array<KeptFrame, 2> open;
  const std::size_t count = TRY(frames.read(next_frame_, open));
  Offsets begin = begin_;
  for (const KeptFrame& frame : std::span(open).first(count)) {
    begin[frame.stream] += frame.length;
    if (position_[frame.stream] < begin[frame.stream]) {
      return take(frame.stream, begin[frame.stream], buffer);
    }
  }
  return after_the_cut(buffer);
}

Result<Piece> LogReader::take(Stream stream, std::uint64_t end, std::span<std::byte> buffer) {
  Piece piece{.stream = stream, .offset = position_[stream]};
  const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end - piece.offset);
  piece.bytes = TRY(log_->read_at(stream, piece.offset, buffer.first(wanted)));
  if (piece.bytes == 0) return Error{Errc::internal, "the kept output became shorter"};
  position_[stream] += piece.bytes;
  return piece;
}

Result<Piece> LogReader::after_the_cut(std::span<std::byte> buffer) {
  for (int tried = 0; tried < 2; ++tried) {
    const Stream stream = turn_;
    turn_ = stream == Stream::out ? Stream::err : Stream::out;
    const Extent there = log_->extent(stream);
    if (position_[stream] >= there.length) continue;
    Piece piece{.stream = stream};
    const bool beyond = position_[stream] >= there.kept;
    piece.offset = beyond ? std::max(position_[stream], there.window) : position_[stream];
    piece.skipped = piece.offset - position_[stream];
    piece.bytes = TRY(log_->read_at(stream, piece.offset, buffer));
    position_[stream] = piece.offset + piece.bytes;
    return piece;
  }
  return Piece{};
}

}  // namespace tare::runs
