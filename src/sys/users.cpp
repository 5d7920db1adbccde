#include "sys/users.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/check.h"
#include "sys/capabilities.h"
#include "sys/files.h"
#include "sys/spawn.h"

namespace tare::sys {

namespace {

constexpr std::size_t kMaxEntryBytes = std::size_t{16} << 10;

// The first entry in the form of passwd(5) that fits.
template <class Fits>
std::optional<SystemUser> first_entry(std::FILE* file, const Fits& fits) {
  std::array<char, kMaxEntryBytes> buffer;
  passwd entry = {};
  passwd* found = nullptr;
  while (::fgetpwent_r(file, &entry, buffer.data(), buffer.size(), &found) == 0) {
    if (fits(*found)) return SystemUser{found->pw_name, found->pw_uid, found->pw_gid};
  }
  return std::nullopt;
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// Users that are not in the file: of LDAP, systemd and the like. `key` is a name or a number.
Result<std::string> ask_name_service(const std::string& key) {
  Pipe pipe = TRY(make_pipe());
  Process getent = TRY(spawn({.program = "/usr/bin/getent",
                              .argv = {"getent", "--", "passwd", key},
                              .env = {},
                              .out = pipe.write.get()}));
  pipe.write.reset();
  auto text = read_all(pipe.read.get(), kMaxEntryBytes);
  TRY(getent.reap());
  return text;
}

template <class Fits>
std::optional<SystemUser> look_up(const std::string& key, const Fits& fits) {
  if (const File file(std::fopen("/etc/passwd", "re"), &std::fclose); file != nullptr) {
    if (auto user = first_entry(file.get(), fits)) return user;
  }
  auto text = ask_name_service(key);
  if (!text || text->empty()) return std::nullopt;
  const File file(::fmemopen(text->data(), text->size(), "r"), &std::fclose);
  return file != nullptr ? first_entry(file.get(), fits) : std::nullopt;
}

}  // namespace

Result<SystemUser> find_user(std::string_view name) {
  const std::string text(name);
  auto user = look_up(text, [&](const passwd& entry) { return text == entry.pw_name; });
  if (user) return std::move(*user);
  return Error{Errc::not_found,
               "system user '" + text + "' does not exist; create it with: useradd --system " +
                   "--user-group --no-create-home --shell /usr/sbin/nologin " + text};
}

Result<SystemUser> own_user() {
  const uid_t uid = ::geteuid();
  auto user = look_up(std::to_string(uid),
                      [&](const passwd& entry) { return entry.pw_uid == uid; });
  if (!user) return Error{Errc::not_found, "uid " + std::to_string(uid) + " has no user name"};
  return SystemUser{std::move(user->name), uid, ::getegid()};
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

Result<AsMaker> AsMaker::take(uid_t uid) {
  AsMaker as;
  if (uid == 0 || ::geteuid() != 0) return as;
  as.parent_ = ::getppid();
  if (::prctl(PR_GET_PDEATHSIG, &as.death_signal_, 0, 0, 0) != 0)
    return sys_error(errno, "PR_GET_PDEATHSIG");
  if (::setresuid(uid, uid, 0) != 0) return sys_error(errno, "setresuid");
  as.taken_ = true;
  TRY(raise_permitted_capabilities());
  return as;
}

AsMaker::~AsMaker() {
  if (!taken_) return;
  CHECK(::setresuid(0, 0, 0) == 0);  // the saved id is 0: it cannot be refused
  if (death_signal_ == 0) return;
  (void)::prctl(PR_SET_PDEATHSIG, death_signal_, 0, 0, 0);
  if (::getppid() != parent_) (void)::raise(death_signal_);
}

}  // namespace tare::sys
