#include "http/beast_parser.h"

#include <boost/beast/http/basic_parser.hpp>

#include "http/head_syntax.h"

namespace tare::http {
namespace {

namespace beast = boost::beast::http;
using boost::beast::error_code;
using BeastText = boost::beast::string_view;

template <bool kIsRequest>
class Parser final : public beast::basic_parser<kIsRequest>, public BeastParser {
  using Base = beast::basic_parser<kIsRequest>;

 public:
  Parser() {
    Base::eager(false);  // one piece a call
    Base::body_limit(boost::none);
    Base::header_limit(1U << 20);  // the decoder has a stricter one
  }

  Result<> check_head(std::string_view head, const Head& expected, bool no_body) override {
    if constexpr (!kIsRequest) Base::skip(no_body);
    error_code failure;
    const auto consumed = Base::put({head.data(), head.size()}, failure);
    if (failure) return refusal(failure);
    if (consumed != head.size() || !Base::is_header_done()) return disagreement();
    const Framing framing = no_body ? Framing{} : expected.framing;
    if (framing_seen(framing) != framing) return disagreement();
    head_done_ = true;
    return {};
  }

  Result<Piece> read_chunked(std::string_view input) override {
    piece_ = {};
    if (input.empty()) return piece_;
    // Beast sees a chunk header only when it is whole and well-formed: given the last chunk of an
    // empty body byte by byte, it fails an assertion of its own (parse_chunk_header, n >= 5;
    // Boost 1.81).
    if (remaining_ == 0 && TRY(chunk_header_size(input, first_)) == 0) return piece_;
    first_ = false;
    error_code failure;
    piece_.consumed = Base::put({input.data(), input.size()}, failure);
    if (failure) return refusal(failure);
    piece_.done = Base::is_done();
    return piece_;
  }

 private:
  static Error refusal(const error_code& failure) {
    return Error{Errc::invalid, "malformed HTTP: " + failure.message(), 400};
  }
  static Error disagreement() { return Error{Errc::invalid, "the framing is ambiguous", 400}; }

  // A message that Beast finds to have no body matches both "no length given" and "length 0".
  Framing framing_seen(const Framing& wanted) const {
    if (Base::is_done()) return Framing{};
    if (Base::chunked()) return {Framing::Kind::chunked, 0};
    if (const auto length = Base::content_length()) return {Framing::Kind::length, *length};
    return {Framing::Kind::until_close, wanted.length};
  }

  void on_request_impl(beast::verb, BeastText, BeastText, int, error_code&) override {}
  void on_response_impl(int, BeastText, int, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  void on_field_impl(beast::field, BeastText, BeastText, error_code& failure) override {
    if (head_done_) failure = beast::error::bad_chunk;  // a trailer
  }
  std::size_t on_body_impl(BeastText body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t size, BeastText extensions,
                            error_code& failure) override {
    if (!extensions.empty()) failure = beast::error::bad_chunk_extension;
    remaining_ = size;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastText body, error_code&) override {
    piece_.body = {body.data(), body.size()};
    remaining_ -= body.size();
    return body.size();
  }

  bool head_done_ = false;
  bool first_ = true;            // no chunk has been read
  std::uint64_t remaining_ = 0;  // of the current chunk's data
  Piece piece_;
};

}  // namespace

std::unique_ptr<BeastParser> BeastParser::create(Kind kind) {
  if (kind == Kind::request) return std::make_unique<Parser<true>>();
  return std::make_unique<Parser<false>>();
}

}  // namespace tare::http
