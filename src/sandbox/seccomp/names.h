// Names of refused calls, for people: "ptrace", "i386 execve", "x32 call 999", "others".
#pragma once

#include <string>

#include "sandbox/seccomp/denied.h"

namespace tare::sandbox {

std::string name_of(const DeniedCall& call);

}  // namespace tare::sandbox
