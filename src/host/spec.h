// From a run to the sandbox it needs, as a value. Pure: the same run gives the same spec.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "model/sandbox_spec.h"
#include "model/session_runner.h"

namespace tare::host {

// Builds of environments get the host's network; nothing else ever does. `build`: its stdout is the
// image. `commands`: in a frozen environment, of which another one becomes; online when asked for.
enum class Purpose : std::uint8_t { run, build, commands, commands_online };
constexpr bool has_network(Purpose purpose) {
  return purpose == Purpose::build || purpose == Purpose::commands_online;
}

// The layers a run stands on, lowest first: its environment's, then its agent's own files.
std::vector<std::string> layers_of(const model::RunRequest& request);
// And what is its own.
std::vector<std::string> with_own(std::vector<std::string> layers, const model::OwnLayers& own);
std::vector<std::string> layers_of(const model::Run& run);

// The run as it would have been with the runner that the session has now.
model::Run with_runner(model::Run run, const std::optional<model::SessionRunner>& runner);

// Its program has a pipe to report to (model/run_report.h).
inline bool reports(const model::RunRequest& request) {
  return !request.runner.empty() && !request.session;
}

// The variables of the program: Tare's defaults, then the request's own (which win), then TARE_RUN.
std::vector<std::string> environment_variables(const model::RunRequest& request,
                                               std::string_view run_id);

// "tare-" and the last 8 characters of the run's id; from the second attempt on its number, too:
// what a session is after it has slept is not what it was (DESIGN.md section 6).
std::string hostname_of(const model::Run& run);
// Of each attempt of each run another one.
std::string machine_id_of(const model::Run& run);

// Of the attempt that it is at, or of the next one (model::attempt_of).
Result<model::SandboxSpec> sandbox_spec(const model::Run& run, Purpose purpose);

}  // namespace tare::host
