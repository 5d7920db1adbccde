// What it costs that a runner has changed. See sandbox_bench.cpp.
#pragma once

#include "samples.h"

namespace tare::bench {

void runner_rows(const Options& options);

}  // namespace tare::bench
