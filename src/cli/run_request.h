// The body of POST /v1/runs for a RunCommand. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/args.h"
#include "cli/uploads.h"
#include "model/run.h"

namespace tare::cli {

// Only the limits that were asked for.
JsonObject limits_json(const LimitOptions& limits);

// `inputs` have their digests. An idempotency key is always sent (`key`): a request whose answer
// was lost can be sent again without making a second run.
Json run_request(const RunCommand& command, const std::vector<LocalFile>& inputs,
                 const std::string& key);

// One line that says how a run ended, for stderr; "" for a plain exit.
std::string ending_line(const model::Run& run);

}  // namespace tare::cli
