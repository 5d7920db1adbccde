// What the doctor found, as one JSON object on one line, written by hand: the launcher has no JSON
// library. Pure. `tare doctor` reads and shows it (src/cli/cmd_host.cpp).
//
//   {"checks":[{"name","ok","warning","detail","consequence","fix","follows"},...]}
//
// ok: it works, or is not required. warning: it does not work and is not required. consequence and
// fix are empty when it works. follows, where it is there:
// the check whose failure is the cause of this one's; that one's fix is the one to take. Text is
// UTF-8, cut to kMaxFindingBytes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sandbox/doctor/check.h"

namespace tare::sandbox {

inline constexpr std::size_t kMaxFindingBytes = 1024;

struct Finding {
  const Check* check = nullptr;
  bool works = false;
  std::string detail;
  bool inside = false;            // found without root: Need::with_root is not asked for
  std::string_view follows = {};  // the name of another check
};

// The name of the check that is the cause of this failure; empty: it has its own. `ordinary`: by a
// user without root and without a namespace of their own.
std::string_view cause_of(const Finding& finding, const std::vector<Finding>& before,
                          bool ordinary);

std::string render(const std::vector<Finding>& findings);

// All that is required works.
bool all_ok(const std::vector<Finding>& findings);

}  // namespace tare::sandbox
