// An environment as the commands print it.
#pragma once

#include <string>

#include "base/json.h"

namespace tare::cli {

// "py is ready: sha256:..., 41.2M, 2,104 files\n"
std::string built_line(const Json& environment);

}  // namespace tare::cli
