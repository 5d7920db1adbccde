// The line that names the system calls which a run was refused.
#pragma once

#include <string>

#include "base/json.h"
#include "cli/app.h"
#include "fiber/context.h"
#include "model/run.h"

namespace tare::cli {

// "denied: mount, ptrace (3 times)" from the events of a run; "" when nothing was. Pure.
std::string denied_line(const Json& events);

// The line, on stderr, for a run that has ended and was refused something.
void note_denied(App& app, const model::Run& run, const fiber::Context& ctx);

}  // namespace tare::cli
