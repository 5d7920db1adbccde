#include "runs/kept_frames.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "sys/entries.h"
#include "sys/files.h"
#include "sys/pipe_file.h"

namespace tare::runs {

namespace {

enum class Kind : std::uint8_t { start = 1, out, err, cut, window_out, window_err };

constexpr std::size_t kReadAtOnce = 4096;  // records

void put(std::byte* to, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint64_t get(const std::byte* from, int width) {
  std::uint64_t value = 0;
  for (int i = width - 1; i >= 0; --i) value = value << 8 | static_cast<std::uint8_t>(from[i]);
  return value;
}

Kind kind_of(Stream stream) { return stream == Stream::out ? Kind::out : Kind::err; }

}  // namespace

struct KeptFrames::Record {
  Kind kind;
  std::uint32_t length;
  std::uint64_t value;
};

KeptFrames::Bytes KeptFrames::encode(const Record& record) {
  Bytes bytes{};
  bytes[0] = static_cast<std::byte>(record.kind);
  put(&bytes[4], record.length, 4);
  put(&bytes[8], record.value, 8);
  return bytes;
}

std::optional<KeptFrames::Record> KeptFrames::decode(std::span<const std::byte> bytes) {
  const auto kind = static_cast<std::uint8_t>(bytes[0]);
  if (kind < static_cast<std::uint8_t>(Kind::start)) return std::nullopt;
  if (kind > static_cast<std::uint8_t>(Kind::window_err)) return std::nullopt;
  if (get(&bytes[1], 3) != 0) return std::nullopt;
  return Record{static_cast<Kind>(kind), static_cast<std::uint32_t>(get(&bytes[4], 4)),
                get(&bytes[8], 8)};
}

KeptFrames::Bytes KeptFrames::encode_frame(const KeptFrame& frame) {
  return encode({kind_of(frame.stream), frame.length, frame.at_ms});
}

Result<KeptFrames> KeptFrames::open(sys::UniqueFd file, const Offsets& lengths,
                                    std::uint64_t now_ms) {
  KeptFrames frames(std::move(file));
  const struct stat status = TRY(sys::stat_fd(frames.file_.get()));
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::optional<Record> first;
  if (size >= kRecordBytes) {
    Bytes bytes;
    TRY(sys::read_at(frames.file_.get(), bytes, 0));
    first = decode(bytes);
  }
  if (!first || first->kind != Kind::start || first->length != 0) {
    TRY(frames.begin(now_ms));
    return frames;
  }
  frames.start_ms_ = first->value;
  TRY(frames.recover(size, lengths));
  return frames;
}

Result<> KeptFrames::begin(std::uint64_t now_ms) {
  start_ms_ = now_ms;
  TRY(sys::truncate_fd(file_.get(), 0));
  return sys::write_at(file_.get(), encode({Kind::start, 0, now_ms}), 0);
}

// Takes a frame record in, if it can be true.
bool KeptFrames::accept(const Record& record, const Offsets& lengths) {
  if (record.kind != Kind::out && record.kind != Kind::err) return false;
  const Stream stream = record.kind == Kind::out ? Stream::out : Stream::err;
  if (record.length == 0 || record.length > lengths[stream] - framed_[stream]) return false;
  if (count_ > 0 && record.value < last_[1].at_ms) return false;
  last_[0] = last_[1];
  last_[1] = {stream, record.length, record.value};
  framed_[stream] += record.length;
  ++count_;
  return true;
}

Result<> KeptFrames::recover(std::uint64_t file_bytes, const Offsets& lengths) {
  std::vector<std::byte> chunk(kReadAtOnce * kRecordBytes);
  for (bool more = true; more;) {
    const std::size_t bytes = TRY(sys::read_at(file_.get(), chunk, (count_ + 1) * kRecordBytes));
    more = bytes >= kRecordBytes;
    for (std::size_t at = 0; more && at + kRecordBytes <= bytes; at += kRecordBytes) {
      const auto record = decode(std::span(chunk).subspan(at, kRecordBytes));
      more = record && accept(*record, lengths);
    }
  }
  if (TRY(recover_cut(file_bytes, lengths))) return ok();
  const std::uint64_t good = (count_ + 1) * kRecordBytes;
  return file_bytes == good ? ok() : sys::truncate_fd(file_.get(), good);
}

// The three records behind the last frame: cut and the two windows, and then the end of the file.
Result<bool> KeptFrames::recover_cut(std::uint64_t file_bytes, const Offsets& lengths) {
  std::array<std::byte, 3 * kRecordBytes> tail;
  const std::uint64_t at = (count_ + 1) * kRecordBytes;
  if (file_bytes != at + tail.size()) return false;
  TRY(sys::read_at(file_.get(), tail, at));
  const auto all = std::span(tail);
  const auto cut = decode(all.subspan(0, kRecordBytes));
  const auto out = decode(all.subspan(kRecordBytes, kRecordBytes));
  const auto err = decode(all.subspan(2 * kRecordBytes, kRecordBytes));
  if (!cut || cut->kind != Kind::cut || !out || out->kind != Kind::window_out) return false;
  if (!err || err->kind != Kind::window_err) return false;
  const Offsets window{out->value, err->value};
  for (const Stream stream : kStreams) {
    if (window[stream] < framed_[stream] || window[stream] > lengths[stream]) return false;
  }
  cut_ = true;
  window_ = window;
  return true;
}

Result<> KeptFrames::add(Stream stream, std::uint64_t bytes, std::uint64_t now_ms) {
  CHECK(!cut_);
  const std::uint64_t earliest = count_ > 0 ? last_[1].at_ms : 0;  // the wall clock may go back
  const std::uint64_t at_ms = std::max(earliest, now_ms > start_ms_ ? now_ms - start_ms_ : 0);
  while (bytes > 0) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
    const auto piece = static_cast<std::uint32_t>(std::min(bytes, kMost));
    TRY(add_piece(stream, piece, at_ms));
    framed_[stream] += piece;
    bytes -= piece;
  }
  return ok();
}

// The record that takes these bytes in, or nullptr for a new one.
KeptFrame* KeptFrames::growable(Stream stream, std::uint32_t bytes, std::uint64_t at_ms) {
  const auto fits = [&](const KeptFrame& frame) {
    return frame.stream == stream &&
           bytes <= std::numeric_limits<std::uint32_t>::max() - frame.length;
  };
  if (count_ == 0) return nullptr;
  if (fits(last_[1]) && at_ms - last_[1].at_ms < kCoalesceMs) return &last_[1];
  if (count_ < kFreeFrames + framed_.sum() / kBytesPerFrame) return nullptr;
  if (fits(last_[1])) return &last_[1];
  return count_ > 1 && fits(last_[0]) ? &last_[0] : nullptr;
}

// The file first, memory after: when the disk is full, both still agree.
Result<> KeptFrames::add_piece(Stream stream, std::uint32_t bytes, std::uint64_t at_ms) {
  KeptFrame* frame = growable(stream, bytes, at_ms);
  if (frame != nullptr) {
    KeptFrame grown = *frame;
    grown.length += bytes;
    TRY(store(frame == &last_[1] ? count_ - 1 : count_ - 2, grown));
    *frame = grown;
    return ok();
  }
  const KeptFrame fresh{stream, bytes, at_ms};
  TRY(store(count_, fresh));
  last_[0] = std::exchange(last_[1], fresh);
  ++count_;
  return ok();
}

Result<> KeptFrames::store(std::uint64_t index, const KeptFrame& frame) {
  return sys::write_at(file_.get(), encode_frame(frame), (index + 1) * kRecordBytes);
}

Result<> KeptFrames::mark_cut() {
  CHECK(!cut_);
  std::vector<std::byte> tail;
  for (const Record& record : {Record{Kind::cut, 0, 0}, Record{Kind::window_out, 0, framed_.out},
                               Record{Kind::window_err, 0, framed_.err}}) {
    const Bytes bytes = encode(record);
    tail.insert(tail.end(), bytes.begin(), bytes.end());
  }
  TRY(sys::write_at(file_.get(), tail, (count_ + 1) * kRecordBytes));
  cut_ = true;
  window_ = framed_;
  return ok();
}

Result<> KeptFrames::move_window(Stream stream, std::uint64_t offset) {
  CHECK(cut_ && offset >= window_[stream]);
  const Kind kind = stream == Stream::out ? Kind::window_out : Kind::window_err;
  const std::uint64_t index = count_ + 2 + (stream == Stream::out ? 0 : 1);
  TRY(sys::write_at(file_.get(), encode({kind, 0, offset}), index * kRecordBytes));
  window_[stream] = offset;
  return ok();
}

Result<std::size_t> KeptFrames::read(std::uint64_t first, std::span<KeptFrame> frames) const {
  if (first >= count_) return std::size_t{0};
  const std::size_t wanted = std::min<std::uint64_t>({frames.size(), count_ - first, kReadAtOnce});
  std::vector<std::byte> chunk(wanted * kRecordBytes);
  const std::size_t bytes = TRY(sys::read_at(file_.get(), chunk, (first + 1) * kRecordBytes));
  if (bytes != chunk.size()) return Error{Errc::internal, "frames.log became shorter"};
  for (std::size_t i = 0; i < wanted; ++i) {
    const auto record = decode(std::span(chunk).subspan(i * kRecordBytes, kRecordBytes));
    if (!record || (record->kind != Kind::out && record->kind != Kind::err)) {
      return Error{Errc::internal, "frames.log was changed by somebody else"};
    }
    frames[i] = {record->kind == Kind::out ? Stream::out : Stream::err, record->length,
                 record->value};
  }
  return wanted;
}

Result<> KeptFrames::sync() { return sys::sync_data(file_.get()); }

}  // namespace tare::runs
