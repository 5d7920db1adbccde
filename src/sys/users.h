// System users by name, and becoming one for good.
//
// A user is looked for in /etc/passwd (passwd(5)), then by getent(1), which knows the name services
// that are set up (nsswitch.conf(5)). Not by getpwnam(3): a program that is linked whole cannot
// load those.
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

Result<SystemUser> find_user(std::string_view name);  // not_found names the fix

// The calling user.
Result<SystemUser> own_user();

// Drops groups, gid and uid for good; verifies that there is no way back. No-op when already that
// user.
Result<> become(const SystemUser& user);

}  // namespace tare::sys
