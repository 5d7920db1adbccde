// Reads an encoded plan step by step, in place, without allocating: used by tare-init (on a sealed
// mapping), by render.h and by the tests. Everything is checked: a plan that is cut short, too long
// or has an unknown step gives an error, never a read outside the bytes.
//
// Format, little-endian: u32 magic, u32 version, u32 steps; then per step: u8 op, u8 0, u16 0, u32
// length of a, u32 length of b, u64 n, u64 m, bytes of a, NUL, bytes of b, NUL. The last step, and
// only the last, is `execute`, `prepared` or `serve`. The NULs are not part of a and b: they let
// tare-init pass both to the kernel where they lie.
#pragma once

#include <cstring>

#include "sandbox/plan/plan.h"

namespace tare::sandbox {

class PlanReader {
 public:
  explicit PlanReader(std::string_view bytes) : rest_(bytes) {
    std::uint32_t magic = 0;
    std::uint32_t version = 0;
    good_ = bytes.size() <= kMaxPlanBytes && take(magic) && take(version) && take(steps_) &&
            magic == kPlanMagic && version == kPlanVersion && steps_ > 0 && steps_ <= kMaxPlanSteps;
  }

  // False until something was wrong with the bytes.
  bool damaged() const { return !good_; }
  std::uint32_t steps() const { return steps_; }
  // The number of the step that next() gave last, from 1.
  std::uint32_t position() const { return position_; }

  // The next step, or false at the end or when the plan is damaged.
  bool next(StepView& step) {
    if (!good_ || position_ == steps_) return false;
    std::uint32_t head = 0;
    std::uint32_t size_a = 0;
    std::uint32_t size_b = 0;
    good_ = take(head) && head <= 0xFF && is_op(static_cast<std::uint8_t>(head)) && take(size_a) &&
            take(size_b) && take(step.n) && take(step.m) && take(step.a, size_a) &&
            take(step.b, size_b);
    if (!good_) return false;
    step.op = static_cast<Op>(head);
    ++position_;
    const bool last = position_ == steps_;
    good_ = last == is_last_step(step.op) && (!last || rest_.empty());
    return good_;
  }

 private:
  template <class Number>
  bool take(Number& number) {
    if (rest_.size() < sizeof number) return false;
    std::memcpy(&number, rest_.data(),
                sizeof number);  // this machine is little-endian (static_assert in codec.cpp)
    rest_.remove_prefix(sizeof number);
    return true;
  }
  bool take(std::string_view& text, std::uint32_t size) {
    if (rest_.size() <= size || rest_[size] != '\0') return false;
    text = rest_.substr(0, size);
    rest_.remove_prefix(std::size_t{size} + 1);
    return true;
  }

  std::string_view rest_;
  std::uint32_t steps_ = 0;
  std::uint32_t position_ = 0;
  bool good_ = false;
};

}  // namespace tare::sandbox
