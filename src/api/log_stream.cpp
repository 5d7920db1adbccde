#include "api/log_stream.h"

#include <chrono>
#include <cstring>

#include "api/answers.h"
#include "base/limits.h"
#include "model/log_frames.h"

namespace tare::api {

namespace {

using namespace std::chrono_literals;
using model::FrameType;

constexpr fiber::Duration kSilence = 10s;  // then a keep-alive frame
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
static_assert(kPieceBytes <= model::kMaxFramePayload);

FrameType frame_of(runs::Stream stream) {
  return stream == runs::Stream::out ? FrameType::out : FrameType::err;
}

// While it lives the run waits for this reader.
class Attachment {
 public:
  explicit Attachment(host::OpenLog* log) : log_(log) {
    if (log_ != nullptr) ++log_->attached;
  }
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  ~Attachment() {
    if (log_ == nullptr) return;
    --log_->attached;
    log_->changed.notify_all();
  }

 private:
  host::OpenLog* log_;
};

// `buffer`: room for a frame's header, then the piece.
Result<> send_piece(http::Exchange& exchange, const runs::Piece& piece, std::string& buffer) {
  if (piece.skipped > 0) {
    const Json notice = JsonObject{
        {"stream", piece.stream == runs::Stream::out ? "stdout" : "stderr"},
        {"from", piece.offset - piece.skipped},
        {"to", piece.offset}};
    TRY(exchange.write(model::encode_frame(FrameType::cut, to_text(notice))));
  }
  if (piece.bytes == 0) return ok();
  const auto header = model::encode_frame_header(frame_of(piece.stream), piece.bytes);
  std::memcpy(buffer.data(), header.data(), header.size());
  return exchange.write(std::string_view(buffer).substr(0, header.size() + piece.bytes));
}

}  // namespace

Result<LogQuery> read_log_query(const http::Query& query) {
  TRY(query.allow_only({"follow", "attach", "stdout_from", "stderr_from"}));
  LogQuery out;
  out.follow = TRY(flag(query, "follow", false));
  out.attach = TRY(flag(query, "attach", false));
  out.from.out = TRY(number(query, "stdout_from", 0, 0, kMaxCount));
  out.from.err = TRY(number(query, "stderr_from", 0, 0, kMaxCount));
  if (out.attach && !out.follow) return field_error("attach", "needs follow=true");
  return out;
}

Result<> start_frames(http::Exchange& exchange) {
  return exchange.start(200, {{"Content-Type", std::string(model::kFramesMediaType)}},
                        std::nullopt);
}

Result<> wait_or_keep_alive(http::Exchange& exchange, fiber::Event& event) {
  auto waited = event.wait(exchange.context().with_timeout(kSilence));
  if (waited || waited.error().code != Errc::timeout) return waited;
  return exchange.write(model::encode_frame(FrameType::keep_alive, {}));
}

Result<> copy_log(http::Exchange& exchange, host::OpenLog& log, const LogQuery& query,
                  bool attached, const std::function<bool()>& over) {
  auto reader = TRY(runs::LogReader::open(
      *log.log, query.from,
      attached ? runs::LogReader::Role::attached : runs::LogReader::Role::follower));
  const Attachment attachment(attached ? &log : nullptr);
  if (!exchange.started()) TRY(start_frames(exchange));
  std::string buffer(model::kFrameHeaderBytes + kPieceBytes, '\0');
  const auto payload = std::as_writable_bytes(std::span(buffer).subspan(model::kFrameHeaderBytes));
  for (;;) {
    const bool last = over();  // before the look: what came before it is there
    const runs::Piece piece = TRY(reader.next(payload));
    if (attached) log.changed.notify_all();  // what the piece before took is free again
    if (!piece.caught_up()) {
      TRY(send_piece(exchange, piece, buffer));
      continue;
    }
    if (!query.follow || last) return ok();
    if (!over()) TRY(wait_or_keep_alive(exchange, log.changed));
  }
}

Result<> send_end(http::Exchange& exchange, const Json& ended) {
  return exchange.write(model::encode_frame(FrameType::end, to_text(ended)));
}

}  // namespace tare::api
