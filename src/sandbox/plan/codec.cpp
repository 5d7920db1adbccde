#include "sandbox/plan/codec.h"

#include <bit>

#include "sandbox/plan/reader.h"

namespace tare::sandbox {

static_assert(std::endian::native == std::endian::little, "plans are little-endian in memory");

namespace {

template <class Number>
void put(std::string& out, Number number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}

}  // namespace

Result<std::string> encode(const std::vector<Step>& steps) {
  if (steps.empty() || steps.size() > kMaxPlanSteps) {
    return Error{Errc::exhausted, "a plan has 1 to " + std::to_string(kMaxPlanSteps) +
                                      " steps (arguments and " + "variables count), not " +
                                      std::to_string(steps.size())};
  }
  std::string out;
  put(out, kPlanMagic);
  put(out, kPlanVersion);
  put(out, static_cast<std::uint32_t>(steps.size()));
  for (const Step& step : steps) {
    if (step.a.size() + step.b.size() + out.size() > kMaxPlanBytes - 64) {
      return Error{Errc::exhausted, "the plan is larger than " + std::to_string(kMaxPlanBytes) +
                                        " bytes: pass fewer or shorter arguments and variables"};
    }
    put(out, static_cast<std::uint32_t>(step.op));
    put(out, static_cast<std::uint32_t>(step.a.size()));
    put(out, static_cast<std::uint32_t>(step.b.size()));
    put(out, step.n);
    put(out, step.m);
    out.append(step.a).push_back('\0');
    out.append(step.b).push_back('\0');
  }
  return out;
}

Result<std::vector<Step>> decode(std::string_view bytes) {
  PlanReader reader(bytes);
  std::vector<Step> steps;
  StepView view;
  while (reader.next(view)) {
    steps.push_back(Step{view.op, std::string(view.a), std::string(view.b), view.n, view.m});
  }
  if (reader.damaged()) {
    return Error{Errc::invalid, "plan is damaged at step " + std::to_string(steps.size() + 1)};
  }
  return steps;
}

}  // namespace tare::sandbox
