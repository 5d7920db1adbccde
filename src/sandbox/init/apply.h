// Applies one step of the plan to the sandbox, as root of its user namespace. Returns 0 or errno.
// Called by tare-init, before anything of the agent runs.
#pragma once

#include "sandbox/plan/plan.h"

namespace tare::sandbox::init {

// `input` is the detached mount that came with the order, if one did.
int apply(const StepView& step, int input = -1);

}  // namespace tare::sandbox::init
