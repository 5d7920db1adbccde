// Limits and Usage as JSON: the representation of the REST API and of the store. Sizes are integer
// bytes, times integers with their unit in the name. Pure functions. Errors: Errc::invalid naming
// the field and its range.
#pragma once

#include <cstdint>

#include "base/decode.h"
#include "base/json.h"
#include "model/limits.h"
#include "model/usage.h"

namespace tare::model {

Json to_json(const Limits& limits);
Json to_json(const Usage& usage);

// What is left out has its default.
Result<Limits> read_limits(const Node& node);
// What is left out keeps what `base` says: for limits that override an agent's.
Result<Limits> read_limits_over(const Node& node, const Limits& base);
Result<Usage> read_usage(const Node& node);

// Refuses a limit outside of LimitBounds: "limits.pids: 0 is out of range: allowed are 1 to 32768".
Result<> check_limits(const Limits& limits);

}  // namespace tare::model
