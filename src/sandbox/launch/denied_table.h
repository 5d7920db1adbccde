// DeniedTable: what tare-init has told of calls that were refused in one sandbox. Its reports are
// hostile input, and bounded: no more distinct calls than a table of tare-init has, and for each no
// more reports than one for each doubling and a last one.
//
// Owner: Sandbox. Single thread.
#pragma once

#include <cstdint>
#include <map>

#include "sandbox/launch/report.h"

namespace tare::sandbox {

class DeniedTable {
 public:
  // False: nonsense. Nothing has changed then.
  bool take(const DeniedReport& report);

  const std::map<DeniedCall, std::uint64_t>& counts() const { return counts_; }

 private:
  std::map<DeniedCall, std::uint64_t> counts_;
  int reports_ = 0;
};

}  // namespace tare::sandbox
