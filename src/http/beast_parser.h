// Boost.Beast's HTTP parser behind a small interface: second opinion on heads, decoder of chunked
// bodies. Its .cpp is the only unit that includes Beast (and, through it, Asio's buffer types). No
// I/O.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace tare::http {

class BeastParser {
 public:
  enum class Kind : std::uint8_t { request, response };
  static std::unique_ptr<BeastParser> create(Kind kind);
  virtual ~BeastParser() = default;

  // Reads a complete head, which must be all of `head`. An error if Beast refuses it or sees
  // another framing than `expected`. `no_body`: it answers a HEAD request.
  virtual Result<> check_head(std::string_view head, const Head& expected, bool no_body) = 0;

  struct Piece {
    std::size_t consumed = 0;
    std::string_view body = {};  // part of the input
    bool done = false;           // the last chunk has been read
  };
  // Decodes some of a chunked body. Nothing consumed, not done: more input is needed behind this.
  virtual Result<Piece> read_chunked(std::string_view input) = 0;
};

}  // namespace tare::http
