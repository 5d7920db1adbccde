// retry(call): repeats a system call while it fails with EINTR. For src/sys only.
#pragma once

#include <cerrno>

namespace tare::sys {

template <class Call>
auto retry(Call call) -> decltype(call()) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace tare::sys
