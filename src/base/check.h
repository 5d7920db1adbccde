// CHECK(condition): a bug if it does not hold; on in release. Prints file, line and the condition
// on stderr and aborts. For programming errors only: what the outside can cause is a Result.
#pragma once

namespace tare {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace tare

#define CHECK(condition)                               \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::tare::check_failed(#condition, __FILE__, __LINE__))
