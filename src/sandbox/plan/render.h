// A plan as text for people: what the launcher makes, then the numbered steps of tare-init. For
// --dry-run, the goldens, and the message of a failed step.
#pragma once

#include <string>
#include <vector>

#include "model/sandbox_spec.h"
#include "sandbox/plan/compile.h"

namespace tare::sandbox {

std::string render_step(const Step& step);  // "mount proc /proc"
std::string render(const model::SandboxSpec& spec, const Plans& plans);

}  // namespace tare::sandbox
