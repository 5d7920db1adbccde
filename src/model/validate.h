// Is a RunRequest fit to be run? The last look before it is made durable, whoever decoded it and
// from what. Pure functions. Errors: Errc::invalid naming the field and what is allowed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/result.h"
#include "model/run.h"

namespace tare::model {

Result<> validate(const RunRequest& request);

// At least one argument, the first not empty; count, length and total bounded; no NUL.
Result<> check_argv(std::string_view field, const std::vector<std::string>& argv);
// "NAME=value": see check_env_name; no NUL, no name twice; count and total bounded.
Result<> check_env(std::string_view field, const std::vector<std::string>& env);
// A letter or _, then letters, digits, _ . and - (images have such); not TARE_..., which Tare sets
// itself.
Result<> check_env_name(std::string_view field, std::string_view name);

// The refusal of such a check, moved to the place where the value was written.
Result<> placed(const Node& node, Result<> checked);

}  // namespace tare::model
