// The answer of a runner's handshake, when the program that was to give it has ended. Whatever it
// printed is hostile. Errors: Errc::timeout, conflict or invalid, with what it did instead.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "model/run.h"
#include "model/runner.h"
#include "runs/output_log.h"

namespace tare::host {

// Where it is made: an isolated one not in a folder that is the session's. "": where all programs
// begin.
std::string handshake_folder(const model::RunnerManifest& manifest);

// `outcome`: nullopt when it has not ended. `log`: of what it printed.
Result<> judge_handshake(const std::optional<model::Outcome>& outcome, const runs::OutputLog& log);

}  // namespace tare::host
