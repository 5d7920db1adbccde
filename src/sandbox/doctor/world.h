// The world that tare-launcher lives in (rootfs/pruned.h), entered by a check, with the doctor's
// scratch folder in the place of TARE_HOME, and what a sandbox is made of there. For good: the
// check's process ends in it.
#pragma once

#include "base/result.h"
#include "sandbox/doctor/check.h"
#include "sandbox/rootfs/scratch.h"
#include "sys/fd.h"

namespace tare::sandbox {

struct World {
  std::string place;             // the scratch folder as it is seen from here
  ImageTools images;             // loop_control is invalid where there is none
  sys::UniqueFd user_namespace;  // with the ids of a box; invalid inside our own
};

Result<World> enter_world(const Host& host);

}  // namespace tare::sandbox
