// Applies one step of the plan to the sandbox, as root of its user namespace. Returns 0 or errno.
// Called by tare-init, before anything of the agent runs.
#pragma once

#include "sandbox/plan/plan.h"

namespace tare::sandbox::init {

int apply(const StepView& step);

}  // namespace tare::sandbox::init
