// Feeds bytes to a Decoder in any pieces and writes down what comes out; for the tests of the
// codec.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "http/codec.h"

namespace tare::http {

using Event = Decoder::Event;
using Side = Decoder::Side;

// All that came out of one stream of bytes; comparable, so that two ways of feeding can be
// compared.
struct Transcript {
  struct Message {
    std::string start;  // "POST /x" or "200"
    Headers headers;
    Framing framing;
    bool keep_alive = false;
    std::string body;
    bool complete = false;
    friend bool operator==(const Message&, const Message&) = default;
  };
  std::vector<Message> messages;
  int refused = 0;  // status, 0: not refused
  friend bool operator==(const Transcript&, const Transcript&) = default;
};

// Feeds `bytes` in pieces: `next_size` says how large the next one is.
template <class NextSize>
Transcript decode(Side side, std::string_view bytes, NextSize next_size, HeadLimits limits = {}) {
  Decoder decoder(side, limits);
  Transcript out;
  std::string pending;
  for (;;) {
    // A copy of exact size for each call: ASan sees a read behind it, and stale views cannot hide.
    const std::vector<char> input(pending.begin(), pending.end());
    auto step = decoder.next({input.data(), input.size()});
    if (!step) {
      out.refused = decoder.status();
      return out;
    }
    if (step->event == Event::head) {
      const bool server = side == Side::server;
      const Head& head = server ? static_cast<const Head&>(decoder.request()) : decoder.response();
      out.messages.push_back({server ? std::string(to_string(decoder.request().method)) + " " +
                                           decoder.request().target
                                     : std::to_string(decoder.response().status),
                              head.headers, head.framing, head.keep_alive, "", false});
    }
    if (step->event == Event::body) {
      EXPECT_FALSE(step->body.empty());
      out.messages.back().body += step->body;
    }
    if (step->event == Event::end) out.messages.back().complete = true;
    pending.erase(0, step->consumed);
    if (step->event != Event::need_more) continue;
    if (bytes.empty()) return out;
    const std::size_t size = std::min(bytes.size(), std::max<std::size_t>(1, next_size()));
    pending += bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
}

inline Transcript decode_whole(Side side, std::string_view bytes, HeadLimits limits = {}) {
  return decode(side, bytes, [&] { return bytes.size(); }, limits);
}

inline std::string get(std::string_view fields) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
inline std::string chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}

}  // namespace tare::http
