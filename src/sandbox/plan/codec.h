// Steps as owned values, and their encoding. The decoding is reader.h's.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/plan/plan.h"

namespace tare::sandbox {

struct Step {
  Op op = Op::execute;
  std::string a, b;
  std::uint64_t n = 0, m = 0;

  friend bool operator==(const Step&, const Step&) = default;
};

// Errc::exhausted when it would be larger than kMaxPlanBytes or kMaxPlanSteps.
Result<std::string> encode(const std::vector<Step>& steps);
// All steps of an encoded plan, for tests and rendering.
Result<std::vector<Step>> decode(std::string_view bytes);

}  // namespace tare::sandbox
