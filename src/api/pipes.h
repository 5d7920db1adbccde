// Writing into a program's stdin. Errors: Errc::cancelled, Errc::timeout of the context.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "fiber/context.h"
#include "http/exchange.h"

namespace tare::api {

// Gives the whole body of the request to it, or as much as it reads.
Result<> copy_body(http::Exchange& exchange, int pipe, std::uint64_t& given,
                   const fiber::Context& ctx);

}  // namespace tare::api
