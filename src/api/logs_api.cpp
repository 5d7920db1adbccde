// /v1/runs/{id}/logs: the output of a run as frames (model/log_frames.h), live or later.
#include <chrono>
#include <cstring>

#include "api/answers.h"
#include "api/handlers.h"
#include "base/limits.h"
#include "model/log_frames.h"
#include "model/run_json.h"
#include "runs/log_reader.h"

namespace tare::api {

namespace {

using namespace std::chrono_literals;
using model::FrameType;

constexpr fiber::Duration kSilence = 10s;  // then a keep-alive frame
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
static_assert(kPieceBytes <= model::kMaxFramePayload);

struct LogQuery {
  bool follow = false, attach = false;
  runs::Offsets from;
};

Result<LogQuery> read_query(const http::Query& query) {
  TRY(query.allow_only({"follow", "attach", "stdout_from", "stderr_from"}));
  LogQuery out;
  out.follow = TRY(flag(query, "follow", false));
  out.attach = TRY(flag(query, "attach", false));
  out.from.out = TRY(number(query, "stdout_from", 0, 0, kMaxCount));
  out.from.err = TRY(number(query, "stderr_from", 0, 0, kMaxCount));
  if (out.attach && !out.follow) return field_error("attach", "needs follow=true");
  return out;
}

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

// The stream of one request.
class LogStream {
 public:
  LogStream(Services& services, Exchange& exchange, std::string id, const LogQuery& query)
      : services_(services), exchange_(exchange), id_(std::move(id)), query_(query) {}

  Result<> run();

 private:
  Result<> open();
  Result<> wait_for_log();
  Result<> copy();
  Result<> send_piece(const runs::Piece& piece);
  Result<> send_end();
  Result<> wait_or_keep_alive(fiber::Event& event);
  bool over() const { return !live_ || live_->ended_durably(); }

  Services& services_;
  Exchange& exchange_;
  std::string id_;
  LogQuery query_;
  std::shared_ptr<host::LiveRun> live_;  // null: ended
  std::shared_ptr<host::OpenLog> log_;   // null: there is none (yet)
  std::string buffer_;                   // a frame's header, then its payload
};

Result<> LogStream::run() {
  const model::Run run = TRY(services_.runs.get(id_));
  live_ = services_.runs.live(id_);
  TRY(open());
  if (!log_ && query_.from.sum() > 0) {
    return field_error(query_.from.out > 0 ? "stdout_from" : "stderr_from", "is beyond the end, 0");
  }
  if (!log_) {
    TRY(exchange_.start(200, {{"Content-Type", std::string(model::kFramesMediaType)}},
                        std::nullopt));
    if (query_.follow) TRY(wait_for_log());
  }
  if (log_) TRY(copy());
  return send_end();
}

Result<> LogStream::open() {
  if (live_ && (live_->log || !live_->reattached)) {
    log_ = live_->log;
    return ok();
  }
  // Ended, or from before tared's restart and not taken up by its driver yet, which will find the
  // log open.
  auto log = services_.deps.logs.open(id_, live_ && live_->run.request.attach);
  if (log) {
    log_ = std::move(*log);
  } else if (log.error().code != Errc::not_found) {  // a run that was never launched has no folder
    return std::move(log).error();
  }
  return ok();
}

Result<> LogStream::wait_for_log() {
  while (!over() && !live_->log) TRY(wait_or_keep_alive(live_->changed));
  log_ = live_ ? live_->log : nullptr;
  return ok();
}

Result<> LogStream::wait_or_keep_alive(fiber::Event& event) {
  auto waited = event.wait(exchange_.context().with_timeout(kSilence));
  if (waited || waited.error().code != Errc::timeout) return waited;
  return exchange_.write(model::encode_frame(FrameType::keep_alive, {}));
}

Result<> LogStream::copy() {
  const bool attached = query_.attach && live_ && live_->run.request.attach;
  auto reader = TRY(runs::LogReader::open(
      *log_->log, query_.from,
      attached ? runs::LogReader::Role::attached : runs::LogReader::Role::follower));
  const Attachment attachment(attached ? log_.get() : nullptr);
  if (!exchange_.started()) {
    TRY(exchange_.start(200, {{"Content-Type", std::string(model::kFramesMediaType)}},
                        std::nullopt));
  }
  buffer_.resize(model::kFrameHeaderBytes + kPieceBytes);
  const auto payload = std::as_writable_bytes(std::span(buffer_).subspan(model::kFrameHeaderBytes));
  for (;;) {
    const runs::Piece piece = TRY(reader.next(payload));
    if (attached) log_->changed.notify_all();  // what the piece before took is free again
    if (!piece.caught_up()) {
      TRY(send_piece(piece));
      continue;
    }
    if (!query_.follow || over()) return ok();
    TRY(wait_or_keep_alive(log_->changed));
  }
}

Result<> LogStream::send_piece(const runs::Piece& piece) {
  if (piece.skipped > 0) {
    const Json notice = JsonObject{
        {"stream", piece.stream == runs::Stream::out ? "stdout" : "stderr"},
        {"from", piece.offset - piece.skipped},
        {"to", piece.offset}};
    TRY(exchange_.write(model::encode_frame(FrameType::cut, to_text(notice))));
  }
  if (piece.bytes == 0) return ok();
  const auto header = model::encode_frame_header(frame_of(piece.stream), piece.bytes);
  std::memcpy(buffer_.data(), header.data(), header.size());
  return exchange_.write(std::string_view(buffer_).substr(0, header.size() + piece.bytes));
}

Result<> LogStream::send_end() {
  const model::Run run = live_ ? live_->run : TRY(services_.runs.get(id_));
  return exchange_.write(model::encode_frame(FrameType::end, to_text(model::to_json(run))));
}

}  // namespace

Result<> get_run_logs(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  const LogQuery query = TRY(read_query(exchange.query()));
  return LogStream(services, exchange, id, query).run();
}

}  // namespace tare::api
