// /v1/runs/{id}/logs: the output of a run as frames (model/log_frames.h), live or later.
#include "api/answers.h"
#include "api/handlers.h"
#include "api/log_stream.h"
#include "model/run_json.h"

namespace tare::api {

namespace {

// The stream of one request.
class LogStream {
 public:
  LogStream(Services& services, Exchange& exchange, std::string id, const LogQuery& query)
      : services_(services), exchange_(exchange), id_(std::move(id)), query_(query) {}

  Result<> run();

 private:
  Result<> open();
  Result<> wait_for_log();
  bool over() const { return !live_ || live_->ended_durably(); }

  Services& services_;
  Exchange& exchange_;
  std::string id_;
  LogQuery query_;
  std::shared_ptr<host::LiveRun> live_;  // null: ended
  std::shared_ptr<host::OpenLog> log_;   // null: there is none (yet)
};

Result<> LogStream::run() {
  const model::Run run = TRY(services_.runs.get(id_));
  live_ = services_.runs.live(id_);
  TRY(open());
  if (!log_ && query_.from.sum() > 0) {
    return field_error(query_.from.out > 0 ? "stdout_from" : "stderr_from", "is beyond the end, 0");
  }
  if (!log_) {
    TRY(start_frames(exchange_));
    if (query_.follow) TRY(wait_for_log());
  }
  if (log_) {
    const bool attached = query_.attach && live_ && live_->run.request.attach;
    TRY(copy_log(exchange_, *log_, query_, attached, [this] { return over(); }));
  }
  const model::Run ended = live_ ? live_->run : TRY(services_.runs.get(id_));
  return send_end(exchange_, model::to_json(ended));
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
  while (!over() && !live_->log) TRY(wait_or_keep_alive(exchange_, live_->changed));
  log_ = live_ ? live_->log : nullptr;
  return ok();
}

}  // namespace

Result<> get_run_logs(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  const LogQuery query = TRY(read_log_query(exchange.query()));
  return LogStream(services, exchange, id, query).run();
}

}  // namespace tare::api
