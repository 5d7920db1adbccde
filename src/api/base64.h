// base64url without padding (RFC 4648, section 5). Pure. Errors: Errc::invalid for anything that is
// not exactly it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::api {

std::string to_base64url(std::string_view bytes);
Result<std::string> from_base64url(std::string_view text);

}  // namespace tare::api
