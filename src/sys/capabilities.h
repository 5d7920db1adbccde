// Capabilities of the calling process, as one number per set (bit N is capability N of
// <linux/capability.h>). keep_only_capabilities is for good: what is not kept leaves the effective,
// permitted, inheritable, ambient and bounding sets, and no_new_privs is set, so no later exec
// brings it back. Sources: capabilities(7), capset(2), prctl(2). The caller must be
// single-threaded: the kernel keeps these per thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/result.h"

namespace tare::sys {

struct CapabilitySets {
  std::uint64_t effective = 0, permitted = 0, inheritable = 0, bounding = 0, ambient = 0;
  bool no_new_privs = false;

  friend bool operator==(const CapabilitySets&, const CapabilitySets&) = default;
};

// The set with the capabilities CAP_* named.
constexpr std::uint64_t capability_mask(std::initializer_list<int> capabilities) {
  std::uint64_t mask = 0;
  for (const int capability : capabilities) mask |= std::uint64_t{1} << capability;
  return mask;
}

// Keeps `kept` effective and permitted (the caller must hold them), nothing inheritable or ambient.
// The bounding set becomes `kept` too. Needs SETPCAP unless the bounding set is already no larger.
Result<> keep_only_capabilities(std::uint64_t kept);

// What is permitted becomes effective, too: a change of the effective uid has taken it away.
Result<> raise_permitted_capabilities();

// From the text of /proc/<pid>/status.
Result<CapabilitySets> parse_capability_status(std::string_view status);

}  // namespace tare::sys
