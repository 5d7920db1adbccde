#include "sandbox/launch/denied_table.h"

#include "base/limits.h"

namespace tare::sandbox {

namespace {

constexpr int kMaxReports = kMaxDeniedCalls * 65;

}  // namespace

bool DeniedTable::take(const DeniedReport& report) {
  const auto found = counts_.find(report.call());
  const bool known = found != counts_.end();
  if (known && report.count <= found->second) return false;
  if (!known && counts_.size() == kMaxDeniedCalls) return false;
  if (report.count > kMaxCount || reports_ == kMaxReports) return false;
  ++reports_;
  counts_[report.call()] = report.count;
  return true;
}

}  // namespace tare::sandbox
