// The words for profiles and users, as people write them, and what they stand for. Pure functions.
// Errors: Errc::invalid naming what is allowed.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "model/sandbox_spec.h"

namespace tare::model {

// "strict", "default" (Profile::standard), "build".
std::string_view to_string(Profile profile);
Result<Profile> profile_from(std::string_view text);

// The uid (and gid) inside the sandbox: "agent" is 1000, "root" is 0.
Result<std::uint32_t> uid_of_user(std::string_view user);

}  // namespace tare::model
