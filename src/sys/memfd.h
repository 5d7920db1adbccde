// Memory as a descriptor, sealed: after seal() neither the bytes nor the length can change, for
// anybody, ever (memfd_create(2), fcntl(2) F_ADD_SEALS). How a plan and the tare-init program reach
// a sandbox.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

// To be read from its beginning.
Result<UniqueFd> sealed_memfd(std::string_view name, std::string_view bytes, bool executable);

}  // namespace tare::sys
