// The row `exec`: a program in a sandbox that lives already, from the request to its end.
#pragma once

#include "samples.h"

namespace tare::bench {

// Through the API, beside `runc exec` in a running container; and through the launcher alone.
void exec_rows(const Options& options);

}  // namespace tare::bench
