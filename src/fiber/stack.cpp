#include "fiber/stack.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "fiber/sanitizer.h"

namespace tare::fiber {
namespace {

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

void unmap(const boost::context::stack_context& stack) {
  const std::size_t whole = stack.size + page_bytes();
  CHECK(::munmap(static_cast<char*>(stack.sp) - whole, whole) == 0);
}

}  // namespace

StackPool::~StackPool() {
  for (const auto& stack : free_) unmap(stack);
}

boost::context::stack_context StackPool::take() {
  if (!free_.empty()) {
    auto stack = free_.back();
    free_.pop_back();
    return stack;
  }
  const std::size_t whole = kStackBytes + page_bytes();
  void* memory = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  CHECK(memory != MAP_FAILED);
  CHECK(::mprotect(memory, page_bytes(), PROT_NONE) == 0);
  boost::context::stack_context stack;
  stack.size = kStackBytes;
  stack.sp = static_cast<char*>(memory) + whole;
  return stack;
}

void StackPool::give_back(const boost::context::stack_context& stack) {
  sanitizer_forget_stack(static_cast<char*>(stack.sp) - stack.size, stack.size);
  if (free_.size() < kFreeStacksMax) {
    free_.push_back(stack);
  } else {
    unmap(stack);
  }
}

}  // namespace tare::fiber
