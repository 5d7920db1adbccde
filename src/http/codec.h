// The HTTP/1.1 codec: bytes in, events out, and heads to bytes. No I/O, no waiting. Source: RFC
// 9112.
//
//   Decoder decoder(Decoder::Side::server, limits);
//   for (;;) {                                     // `input`: what was received and not yet
//   consumed
//     auto step = TRY(decoder.next(input));        // on an error: decoder.status() is what to
//     answer input.remove_prefix(step.consumed); switch (step.event) { need_more: read more behind
//     `input` · head · body: step.body · end: next message }
//   }
//
// Strict: it refuses and never repairs. One framing (Content-Length or chunked, never both, never
// twice), one Host, no folded lines, no bare CR or LF, no space before a colon, no control
// character, no trailers, no chunk extension, HTTP/1.0 and 1.1 only. Every head is read by two
// parsers, ours (head_syntax.h) and Boost.Beast's (beast_parser.h), and refused when they do not
// agree on its framing. The headers of chunks are read twice as well. Limits: below; memory is
// bounded by them, bodies are passed through and never kept. Any split of the bytes gives the same
// events and the same bodies, joined. After an error the decoder is of no more use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"
#include "http/message.h"

namespace tare::http {

struct HeadLimits {
  std::size_t head_bytes = kMaxRequestHeaderBytes;  // start line and fields together
  std::size_t line_bytes = 8 << 10;                 // each of them
  std::size_t fields = 100;
};

class BeastParser;

class Decoder {
 public:
  enum class Side : std::uint8_t {
    server,
    client
  };  // server: reads requests; client: reads responses
  enum class Event : std::uint8_t { need_more, head, body, end };
  struct Step {
    Event event = Event::need_more;
    std::size_t consumed = 0;
    std::string_view body = {};  // part of the input, for Event::body
  };

  Decoder(Side side, HeadLimits limits);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // `input` begins with the first byte that was not consumed, and on a call after need_more has all
  // the bytes of the call before. After `end` the next message begins.
  Result<Step> next(std::string_view input);
  // The other side has ended its sending: the end of a message that is delimited by it, an error in
  // the midst of any other; ok between messages.
  Result<Step> finish();

  // Between two messages, and no byte of the next has been looked at.
  bool at_start() const { return state_ == State::start && scanned_ == 0; }
  // A head was given and its body has not ended.
  bool in_body() const { return state_ == State::body || state_ == State::body_end; }

  // Valid from Event::head to the next message.
  const RequestHead& request() const { return request_; }
  const ResponseHead& response() const { return response_; }
  RequestHead& request() { return request_; }
  ResponseHead& response() { return response_; }

  // Client: the response to be read next answers a HEAD request, so it has no body whatever it
  // says.
  void expect_no_body(bool value) { no_body_ = value; }

  // After an error on the server's side: the status to answer with (400, 414, 417, 431, 501, 505).
  int status() const { return status_; }

 private:
  enum class State : std::uint8_t { start, body, body_end, failed };
  Result<Step> read_head(std::string_view input);
  Result<Step> read_body(std::string_view input);
  Result<std::size_t> find_head_end(std::string_view input);
  Error refuse(int status, std::string message);
  const Head& head() const;

  Side side_;
  HeadLimits limits_;
  State state_ = State::start;
  std::size_t scanned_ = 0;      // bytes of the head that were looked at
  std::size_t line_start_ = 0;   // where the current line of the head begins
  std::size_t lines_ = 0;        // ended so far, the start line included
  std::uint64_t remaining_ = 0;  // of a body with Content-Length
  bool no_body_ = false;
  int status_ = 400;
  RequestHead request_;
  ResponseHead response_;
  std::unique_ptr<BeastParser> beast_;
};

// What a head is written from. The framing is written here, never by the caller: a Content-Length,
// Transfer-Encoding or Connection among the headers is refused, as is anything that is not a token
// or a field value (so text from outside cannot smuggle a line).
Result<std::string> encode_request_head(Method method, std::string_view target,
                                        std::string_view host, const Headers& headers,
                                        Framing framing);
// No Content-Length is written for 1xx, 204 and 304.
Result<std::string> encode_response_head(int status, const Headers& headers, Framing framing,
                                         bool keep_alive);

// "1a\r\n" in front of a chunk, kChunkEnd behind it, kLastChunk after all. `size` is not 0.
std::string chunk_begin(std::size_t size);
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace tare::http
