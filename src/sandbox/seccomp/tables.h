// The two plain tables behind profile.h: calls that are always allowed, and calls that are known
// and refused. A call in neither, and without a rule on its arguments, is unknown to us: refused
// with ENOSYS, and told by its number.
#pragma once

#include <span>
#include <string_view>

namespace tare::sandbox {

struct NamedSyscall {
  int number;
  std::string_view name;
};

std::span<const NamedSyscall> allowed_calls();
std::span<const NamedSyscall> refused_calls();

}  // namespace tare::sandbox
