// The words for profiles and users, as people write them, and what they stand for. Pure functions.
// Errors: Errc::invalid naming what is allowed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/sandbox_spec.h"

namespace tare::model {

// "strict", "default" (Profile::standard), "build".
std::string_view to_string(Profile profile);
Result<Profile> profile_from(std::string_view text);

struct UserIds {
  std::uint32_t uid = 0, gid = 0;
  friend bool operator==(const UserIds&, const UserIds&) = default;
};
// Those above belong to the sandbox itself, or stand for nobody.
inline constexpr std::uint32_t kMaxUserId = 65'532;

// The ids inside the sandbox: of "agent" they are 1000, of "root" 0, of "UID:GID" (an image's user
// has such) what it says.
Result<UserIds> ids_of_user(std::string_view user);
std::string user_of_ids(const UserIds& ids);
bool is_named_user(std::string_view user);

}  // namespace tare::model
