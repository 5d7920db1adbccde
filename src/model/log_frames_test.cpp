#include "model/log_frames.h"

#include <random>

#include <fmt/format.h>

namespace tare::model {
namespace {

// Writes down what it is told, joining pieces of one stream that follow each other.
struct Recorder : FrameSink {
  Result<> on_output(FrameType stream, std::string_view bytes) override {
    EXPECT_FALSE(bytes.empty());
    (stream == FrameType::out ? out : err) += bytes;
    return refuse_output ? Result<>(Error{Errc::cancelled, "reader is gone"}) : ok();
  }
  Result<> on_cut(std::string_view json) override {
    cuts.emplace_back(json);
    return ok();
  }
  Result<> on_end(std::string_view json) override {
    ends.emplace_back(json);
    return ok();
  }
  std::string out, err;
  std::vector<std::string> cuts, ends;
  bool refuse_output = false;
};

TEST(LogFrames, a_header_is_type_then_zeros_then_big_endian_length) {
  EXPECT_EQ(encode_frame(FrameType::err, "ab"), std::string("\2\0\0\0\0\0\0\2ab", 10));
  EXPECT_EQ(encode_frame(FrameType::keep_alive, ""), std::string("\5\0\0\0\0\0\0\0", 8));
  const auto header = encode_frame_header(FrameType::out, 0x0a0b0c);
  EXPECT_EQ(std::string(header.data(), header.size()), std::string("\1\0\0\0\0\x0a\x0b\x0c", 8));
}

TEST(LogFrames, any_split_of_any_stream_gives_the_same_bytes) {
  std::mt19937 random(20240611);
  for (int round = 0; round < 300; ++round) {
    Recorder sent;
    std::string wire;
    const int frames = static_cast<int>(random() % 20);
    for (int i = 0; i < frames; ++i) {
      std::string payload(random() % 300, '\0');
      for (char& c : payload) c = static_cast<char>(random());
      switch (random() % 4) {
        case 0: sent.out += payload, wire += encode_frame(FrameType::out, payload); break;
        case 1: sent.err += payload, wire += encode_frame(FrameType::err, payload); break;
        case 2: sent.cuts.push_back(payload), wire += encode_frame(FrameType::cut, payload); break;
        default: wire += encode_frame(FrameType::keep_alive, "");
      }
    }
    wire += encode_frame(FrameType::end, "{}");
    Recorder got;
    FrameDecoder decoder;
    for (std::string_view rest = wire; !rest.empty();) {
      const std::size_t n = std::min<std::size_t>(rest.size(), 1 + random() % 64);
      EXPECT_FALSE(decoder.ended());
      ASSERT_TRUE(decoder.feed(rest.substr(0, n), got).ok());
      rest.remove_prefix(n);
    }
    EXPECT_TRUE(decoder.ended());
    EXPECT_EQ(got.out, sent.out);
    EXPECT_EQ(got.err, sent.err);
    EXPECT_EQ(got.cuts, sent.cuts);
    EXPECT_EQ(got.ends, std::vector<std::string>{"{}"});
  }
}

TEST(LogFrames, output_is_handed_on_before_its_frame_is_whole) {
  FrameDecoder decoder;
  Recorder got;
  ASSERT_TRUE(decoder.feed(encode_frame(FrameType::out, "hello world").substr(0, 13), got).ok());
  EXPECT_EQ(got.out, "hello");
  EXPECT_TRUE(decoder.inside_frame());
}

TEST(LogFrames, hostile_streams_are_refused_and_stay_refused) {
  const std::pair<std::string, std::string_view> table[] = {
      {std::string("\0\0\0\0\0\0\0\0", 8), "unknown frame type 0"},
      {std::string("\6\0\0\0\0\0\0\0", 8), "unknown frame type 6"},
      {std::string("\xff\0\0\0\0\0\0\0", 8), "unknown frame type 255"},
      {std::string("\1\1\0\0\0\0\0\0", 8), "reserved"},
      {std::string("\1\0\0\x80\0\0\0\0", 8), "reserved"},
      {std::string("\1\0\0\0\xff\xff\xff\xff", 8), "4294967295 bytes"},
      {std::string("\1\0\0\0\0\x10\0\1", 8), "1048577 bytes"},
      {std::string("\4\0\0\0\x7f\0\0\0", 8), "at most"},
      {std::string("\5\0\0\0\0\0\0\1", 8), "at most 0"},
      {encode_frame(FrameType::end, "{}") + "x", "after the end"},
      {"HTTP/1.1 200 OK\r\n", "unknown frame type 72"},
  };
  for (const auto& [wire, message] : table) {
    FrameDecoder decoder;
    Recorder got;
    const auto result = decoder.feed(wire, got);
    ASSERT_FALSE(result.ok()) << message;
    EXPECT_EQ(result.error().code, Errc::invalid);
    EXPECT_NE(result.error().message.find(message), std::string::npos) << result.error().message;
    EXPECT_FALSE(decoder.feed(encode_frame(FrameType::out, "more"), got).ok());
    EXPECT_EQ(got.out, "");
  }
}

TEST(LogFrames, an_error_of_the_sink_ends_the_decoding) {
  FrameDecoder decoder;
  Recorder got;
  got.refuse_output = true;
  const auto result = decoder.feed(
      encode_frame(FrameType::out, "x") + encode_frame(FrameType::err, "y"), got);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::cancelled);
  EXPECT_EQ(got.err, "");
}

}  // namespace
}  // namespace tare::model
