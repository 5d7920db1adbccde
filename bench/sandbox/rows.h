// The rows of the sandbox benchmark; sandbox_bench.cpp explains each.
#pragma once

#include "samples.h"

namespace tare::bench {

// 0, or 64 when options.only names no row.
int run_rows(const Options& options);

}  // namespace tare::bench
