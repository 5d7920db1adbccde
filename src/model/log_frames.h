// The log stream of a run on the wire (`GET /v1/runs/{id}/logs`, application/vnd.tare.frames): a
// header of 8 bytes, u8 type, three zero bytes, u32 length (big-endian), then `length` bytes of
// payload. The server encodes, clients decode; docs/api/openapi.yaml says what each payload holds.
//
// FrameDecoder takes the body in pieces of any size. Output is handed on as it arrives, without
// waiting for the whole frame: no more than one control payload (kMaxControlPayload) is ever held.
// After an error the decoder refuses everything; after the end frame every further byte is an
// error. Errors: Errc::invalid (the peer does not speak this format) or what the sink returned.
// Threads: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::model {

enum class FrameType : std::uint8_t { out = 1, err = 2, cut = 3, end = 4, keep_alive = 5 };

inline constexpr std::string_view kFramesMediaType = "application/vnd.tare.frames";
inline constexpr std::size_t kFrameHeaderBytes = 8;
inline constexpr std::size_t kMaxFramePayload = std::size_t{1} << 20;    // bytes, of any frame
inline constexpr std::size_t kMaxControlPayload = std::size_t{1} << 20;  // bytes, of cut and end

// `length` is at most kMaxFramePayload (checked).
std::array<char, kFrameHeaderBytes> encode_frame_header(FrameType type, std::size_t length);
std::string encode_frame(FrameType type, std::string_view payload);

// What is done with the frames. Called from feed(), in order; an error ends the decoding.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual Result<> on_output(FrameType stream,
                             std::string_view bytes) = 0;  // `out` or `err`, never empty
  virtual Result<> on_cut(std::string_view json) = 0;
  virtual Result<> on_end(std::string_view json) = 0;
};

class FrameDecoder {
 public:
  Result<> feed(std::string_view bytes, FrameSink& sink);
  // The end frame has come whole.
  bool ended() const { return state_ == State::ended; }
  // Anywhere but between two frames: a body that stops here was cut off.
  bool inside_frame() const { return state_ == State::payload || header_size_ > 0; }

 private:
  enum class State : std::uint8_t { header, payload, ended, failed };
  Result<> take_header();
  Result<> take_payload(std::string_view& bytes, FrameSink& sink);
  Result<> finish_control(FrameSink& sink);
  Error fail(Error error);

  State state_ = State::header;
  std::array<char, kFrameHeaderBytes> header_{};
  std::size_t header_size_ = 0;
  FrameType type_ = FrameType::keep_alive;
  std::size_t left_ = 0;  // bytes of the payload still to come
  std::string control_;
};

}  // namespace tare::model
