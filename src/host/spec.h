// From a run to the sandbox it needs, as a value. Pure: the same run gives the same spec.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "model/sandbox_spec.h"

namespace tare::host {

// Builds of environments get the host's network; nothing else ever does.
enum class Purpose : std::uint8_t { run, build };

// The layers a run stands on, lowest first: its environment's, then its agent's own files.
std::vector<std::string> layers_of(const model::RunRequest& request);

// The variables of the program: Tare's defaults, then the request's own (which win), then TARE_RUN.
std::vector<std::string> environment_variables(const model::RunRequest& request,
                                               std::string_view run_id);

// "tare-" and the last 8 characters of the run's id.
std::string hostname_of(std::string_view run_id);

Result<model::SandboxSpec> sandbox_spec(const model::RunRequest& request, std::string_view run_id,
                                        Purpose purpose);

}  // namespace tare::host
