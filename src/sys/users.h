// System users by name, and becoming one for good.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::sys {

struct SystemUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};

Result<SystemUser> find_user(std::string_view name);  // getpwnam_r; not_found names the fix

// The calling user.
Result<SystemUser> own_user();

// Drops groups, gid and uid for good; verifies that there is no way back. No-op when already that
// user.
Result<> become(const SystemUser& user);

}  // namespace tare::sys
