// Writing into a program's stdin from a fiber: other fibers run while it is full.
//
// Errors: Errc::cancelled, Errc::timeout of the context.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "fiber/context.h"

namespace tare::host {

// Gives `bytes` to the program, and adds to `given` what it took; `pipe` does not block. False: it
// reads no more.
Result<bool> write_pipe(int pipe, std::string_view bytes, std::uint64_t& given,
                        const fiber::Context& ctx);

}  // namespace tare::host
