#include "sys/users.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace tare::sys {

Result<SystemUser> find_user(std::string_view name) {
  const std::string text(name);
  std::array<char, 16384> buffer;
  passwd entry = {};
  passwd* found = nullptr;
  const int error = ::getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0) return sys_error(error, "getpwnam " + text);
  if (found == nullptr) {
    return Error{Errc::not_found,
                 "system user '" + text + "' does not exist; create it with: useradd --system " +
                     "--user-group --no-create-home --shell /usr/sbin/nologin " + text};
  }
  return SystemUser{text, entry.pw_uid, entry.pw_gid};
}

Result<SystemUser> own_user() {
  std::array<char, 16384> buffer;
  passwd entry = {};
  passwd* found = nullptr;
  const int error = ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0) return sys_error(error, "getpwuid");
  if (found == nullptr) {
    return Error{Errc::not_found, "uid " + std::to_string(::geteuid()) + " has no user name"};
  }
  return SystemUser{entry.pw_name, ::geteuid(), ::getegid()};
}

Result<> become(const SystemUser& user) {
  if (::getuid() == user.uid && ::geteuid() == user.uid) return ok();
  if (::setgroups(0, nullptr) != 0) return sys_error(errno, "setgroups");
  if (::setresgid(user.gid, user.gid, user.gid) != 0) return sys_error(errno, "setresgid");
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return sys_error(errno, "setresuid");
  if (user.uid != 0 && ::setuid(0) == 0)
    return Error{Errc::internal, "could still become root after setuid"};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sys_error(errno, "no_new_privs");
  return ok();
}

}  // namespace tare::sys
