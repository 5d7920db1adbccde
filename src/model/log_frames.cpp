#include "model/log_frames.h"

#include <algorithm>

#include <fmt/core.h>

namespace tare::model {

std::array<char, kFrameHeaderBytes> encode_frame_header(FrameType type, std::size_t length) {
  CHECK(length <= kMaxFramePayload);
  const auto byte = [length](int shift) { return static_cast<char>((length >> shift) & 0xff); };
  return {static_cast<char>(type), 0, 0, 0, byte(24), byte(16), byte(8), byte(0)};
}

std::string encode_frame(FrameType type, std::string_view payload) {
  const auto header = encode_frame_header(type, payload.size());
  std::string frame(header.data(), header.size());
  frame += payload;
  return frame;
}

Error FrameDecoder::fail(Error error) {
  state_ = State::failed;
  return error;
}

Result<> FrameDecoder::feed(std::string_view bytes, FrameSink& sink) {
  while (!bytes.empty()) {
    if (state_ == State::failed) return Error{Errc::invalid, "log stream: fed after an error"};
    if (state_ == State::ended)
      return fail({Errc::invalid, "log stream: bytes after the end frame"});
    if (state_ == State::payload) {
      TRY(take_payload(bytes, sink));
      continue;
    }
    const std::size_t take = std::min(bytes.size(), kFrameHeaderBytes - header_size_);
    std::copy_n(bytes.data(), take, header_.data() + header_size_);
    header_size_ += take;
    bytes.remove_prefix(take);
    if (header_size_ < kFrameHeaderBytes) break;
    header_size_ = 0;
    TRY(take_header());
    if (state_ == State::payload && left_ == 0) TRY(finish_control(sink));
  }
  return ok();
}

Result<> FrameDecoder::take_header() {
  const auto byte = [this](std::size_t i) { return static_cast<std::uint8_t>(header_[i]); };
  if (byte(0) < 1 || byte(0) > 5) {
    return fail({Errc::invalid, fmt::format("log stream: unknown frame type {}", byte(0))});
  }
  if ((byte(1) | byte(2) | byte(3)) != 0) {
    return fail({Errc::invalid, "log stream: reserved header bytes are not zero"});
  }
  type_ = static_cast<FrameType>(byte(0));
  left_ = (std::size_t{byte(4)} << 24) | (std::size_t{byte(5)} << 16) |
          (std::size_t{byte(6)} << 8) | byte(7);
  const bool control = type_ == FrameType::cut || type_ == FrameType::end;
  const std::size_t most = type_ == FrameType::keep_alive ? 0
                           : control                      ? kMaxControlPayload
                                                          : kMaxFramePayload;
  if (left_ > most) {
    return fail({Errc::invalid,
                 fmt::format("log stream: frame of {} bytes, at most {} allowed", left_, most)});
  }
  control_.clear();
  // Only control frames mean something when they are empty.
  if (left_ > 0 || control) state_ = State::payload;
  return ok();
}

Result<> FrameDecoder::take_payload(std::string_view& bytes, FrameSink& sink) {
  const std::string_view piece = bytes.substr(0, left_);
  bytes.remove_prefix(piece.size());
  left_ -= piece.size();
  if (type_ == FrameType::out || type_ == FrameType::err) {
    if (left_ == 0) state_ = State::header;
    auto taken = sink.on_output(type_, piece);
    return taken ? ok() : Result<>(fail(std::move(taken).error()));
  }
  control_ += piece;
  return left_ == 0 ? finish_control(sink) : ok();
}

Result<> FrameDecoder::finish_control(FrameSink& sink) {
  const bool end = type_ == FrameType::end;
  state_ = end ? State::ended : State::header;
  auto taken = end ? sink.on_end(control_) : sink.on_cut(control_);
  return taken ? ok() : Result<>(fail(std::move(taken).error()));
}

}  // namespace tare::model
