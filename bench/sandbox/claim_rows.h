// The rows that measure claims: a launch for which a sandbox waits in the pool.
#pragma once

#include <cstdint>

#include "daemon.h"
#include "samples.h"
#include "support/launcher.h"

namespace tare::bench {

// For what the rows call `missed`: how many launches found none waiting, since the start.
std::uint64_t misses_of(testing::TestLauncher& launcher);
std::uint64_t misses_of(Daemon& daemon);

// The pool is refilled in quiet moments: a claim is measured when there is something to claim.
void let_pool_fill();

void claim_launcher_rows(const Options& options);  // claim_launcher, claim_paced
void claim_refill_rows(const Options& options);    // claim_refill, and claim_full beside it
void claim_api_row(const Options& options);
void staggered_row(const Options& options);

}  // namespace tare::bench
