// An output log as a stream of frames (model/log_frames.h): what the logs of runs and of execs have
// in common. Errors: Errc::invalid naming the parameter; what the log and the exchange return.
#pragma once

#include <functional>

#include "base/json.h"
#include "base/result.h"
#include "host/run_logs.h"
#include "http/exchange.h"
#include "runs/log_reader.h"

namespace tare::api {

struct LogQuery {
  bool follow = false, attach = false;
  runs::Offsets from;
};
Result<LogQuery> read_log_query(const http::Query& query);

Result<> start_frames(http::Exchange& exchange);
// Waits for the event; says something when it is silent for long.
Result<> wait_or_keep_alive(http::Exchange& exchange, fiber::Event& event);
// All there is, and with `follow` all that comes until `over`. `attached`: the writer waits for us.
// Starts the answer if nobody has.
Result<> copy_log(http::Exchange& exchange, host::OpenLog& log, const LogQuery& query,
                  bool attached, const std::function<bool()>& over);
Result<> send_end(http::Exchange& exchange, const Json& ended);

}  // namespace tare::api
