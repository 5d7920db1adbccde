// Tells ASan and TSan about stack switches, so that they judge fibers as well as threads; empty
// otherwise. Private to src/fiber. Source: sanitizer/common_interface_defs.h,
// sanitizer/tsan_interface.h.
#pragma once

#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
  #include <sanitizer/asan_interface.h>
  #include <sanitizer/common_interface_defs.h>
#endif
#ifdef TARE_FIBER_TSAN  // not __SANITIZE_THREAD__: see CMakeLists.txt
  #include <sanitizer/tsan_interface.h>
#endif

namespace tare::fiber {

// One side of a switch: what a stack needs to be recognised when control comes back to it.
struct SanitizerStack {
  const void* bottom = nullptr;
  std::size_t size = 0;
  void* fake_stack = nullptr;
  void* tsan_fiber = nullptr;
};

// Just before leaving `from` for `to`. `from` null: its stack has ended.
inline void sanitizer_leave([[maybe_unused]] SanitizerStack* from,
                            [[maybe_unused]] const SanitizerStack& to) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(from != nullptr ? &from->fake_stack : nullptr, to.bottom, to.size);
#endif
#ifdef TARE_FIBER_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
}

// First thing on `here`. `left`, if given, learns the bounds of the stack that was left.
inline void sanitizer_arrive([[maybe_unused]] SanitizerStack& here,
                             [[maybe_unused]] SanitizerStack* left) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(here.fake_stack, left != nullptr ? &left->bottom : nullptr,
                                  left != nullptr ? &left->size : nullptr);
#endif
}

inline void sanitizer_make([[maybe_unused]] SanitizerStack& stack) {
#ifdef TARE_FIBER_TSAN
  stack.tsan_fiber = __tsan_create_fiber(0);
#endif
}

inline void sanitizer_adopt_thread([[maybe_unused]] SanitizerStack& stack) {
#ifdef TARE_FIBER_TSAN
  stack.tsan_fiber = __tsan_get_current_fiber();
#endif
}

inline void sanitizer_destroy([[maybe_unused]] SanitizerStack& stack) {
#ifdef TARE_FIBER_TSAN
  __tsan_destroy_fiber(stack.tsan_fiber);
#endif
}

inline void sanitizer_forget_stack([[maybe_unused]] void* bottom,
                                   [[maybe_unused]] std::size_t size) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(bottom, size);
#endif
}

}  // namespace tare::fiber
