// Execs as JSON: what the API answers and what is kept in a run's folder. Strict: an unknown field
// is refused. Errors: Errc::invalid naming the field.
#pragma once

#include <string_view>

#include "base/decode.h"
#include "base/json.h"
#include "model/exec.h"

namespace tare::model {

Json to_json(const TerminalSize& size);
Json to_json(const ExecRequest& request);
Json to_json(const Exec& exec);
Result<TerminalSize> read_terminal_size(const Node& node);
Result<ExecRequest> read_exec_request(const Node& node);
Result<Exec> exec_from_json(const Json& json);

}  // namespace tare::model
