// How long tests wait before they call a thing hung. TARE_TEST_PATIENCE=N multiplies it: an
// emulated machine (./dev test vm) is twenty times slower than this one.
#pragma once

#include <cstdlib>

namespace tare::testing {

inline int patience_ms(int ms) {
  const char* const times = std::getenv("TARE_TEST_PATIENCE");
  const int factor = times == nullptr ? 1 : std::atoi(times);
  return ms * (factor > 0 ? factor : 1);
}

}  // namespace tare::testing
