// The one line that says how a run ended: names the limit and its value, the step of the plan, the
// program. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/run.h"
#include "sandbox/plan/codec.h"

namespace tare::host {

// `outcome` as the launcher reported it: its message, where it has one, is a detail ("step 15:
// Operation not permitted"). `steps` is the plan, `failed_step` its step at fault from 1, 0 for
// none.
std::string outcome_text(const model::Outcome& outcome, const model::RunRequest& request,
                         const std::vector<sandbox::Step>& steps, std::uint32_t failed_step);

// A working folder that is not there is the caller's mistake, as a program that cannot be executed
// is: no failure of the sandbox.
model::Outcome as_of_caller(model::Outcome outcome, const std::vector<sandbox::Step>& steps,
                            std::uint32_t failed_step);

// The limits that ended nothing but were met: "311 forks refused (limit pids 24), disk full (limit
// disk 8 MiB)"; "" for none.
std::string limits_text(const model::Usage& usage, const model::Limits& limits);

// "64 MiB", "1.5 GiB", "17 bytes".
std::string size_text(std::uint64_t bytes);
// "10 s", "1 min 30 s", "250 ms".
std::string time_text(std::uint64_t ms);

}  // namespace tare::host
