// Stacks of fibers: mmap'd, with a guard page below, kept for reuse (making one costs more than a
// whole request). Private to src/fiber. Loop thread only. A free stack keeps the pages it has
// touched.
#pragma once

#include <boost/context/stack_context.hpp>
#include <cstddef>
#include <vector>

namespace tare::fiber {

#if defined(__SANITIZE_ADDRESS__) || defined(TARE_FIBER_TSAN)
inline constexpr std::size_t kStackBytes = 1 << 20;  // instrumented frames are larger
#else
inline constexpr std::size_t kStackBytes = 256 << 10;
#endif
inline constexpr std::size_t kFreeStacksMax = 256;

class StackPool {
 public:
  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Aborts when the process has no more memory or mappings: a fiber that was promised a stack needs
  // it.
  boost::context::stack_context take();
  void give_back(const boost::context::stack_context& stack);

 private:
  std::vector<boost::context::stack_context> free_;
};

// What boost::context::fiber wants: returns the stack to the pool when its fiber has ended.
class PooledStack {
 public:
  PooledStack(StackPool& pool, boost::context::stack_context stack) : pool_(&pool), stack_(stack) {}
  boost::context::stack_context allocate() { return stack_; }
  void deallocate(boost::context::stack_context& stack) { pool_->give_back(stack); }

 private:
  StackPool* pool_;
  boost::context::stack_context stack_;
};

}  // namespace tare::fiber
