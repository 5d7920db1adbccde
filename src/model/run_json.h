// Runs as JSON: the representation of the REST API (docs/api/openapi.yaml) and of the store. Names
// are snake_case, sizes integer bytes, times integer milliseconds; `created_at`, `started_at` and
// `ended_at` repeat them as RFC 3339 for people and are passed over on the way in.
//
// Pure functions. The read_... functions are readers for decode.h: strict about types and ranges,
// and as lenient about unknown keys as their Node; the ..._from_json ones pass over unknown keys,
// as responses and stored records of a newer version may have them. Errors: Errc::invalid naming
// the field.
#pragma once

#include "base/decode.h"
#include "base/json.h"
#include "model/limits_json.h"
#include "model/run.h"

namespace tare::model {

Json to_json(const InputFile& input);
Json to_json(const Outcome& outcome);
Json to_json(const OwnLayers& own);
Json to_json(const Checkpoint& checkpoint);
Json to_json(const RunRequest& request);
Json to_json(const RunEvent& event);
Json to_json(const Run& run);

Result<InputFile> read_input_file(const Node& node);
Result<Outcome> read_outcome(const Node& node);
Result<OwnLayers> read_own_layers(const Node& node);
Result<Checkpoint> read_checkpoint(const Node& node);
Result<RunRequest> read_run_request(const Node& node);
Result<RunEvent> read_run_event(const Node& node);
Result<Run> read_run(const Node& node);

Result<RunRequest> run_request_from_json(const Json& json);
Result<RunEvent> run_event_from_json(const Json& json);
Result<Run> run_from_json(const Json& json);

}  // namespace tare::model
