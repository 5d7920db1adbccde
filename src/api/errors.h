// The one table from Errc to HTTP status, and errors as JSON. Pure.
#pragma once

#include <optional>

#include "base/result.h"
#include "http/message.h"

namespace tare::api {

int status_of(Errc code);

// {"error":{"code":"invalid","message":"...","field":"limits.pids"}}
http::Response error_response(const Error& error, std::optional<int> status);

}  // namespace tare::api
