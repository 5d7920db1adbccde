#include "cli/home.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/core.h>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

struct Folder {
  std::string_view name;
  bool of_user;    // else root's
  bool for_group;  // the user's group may enter
  unsigned mode;
};

// The first one made also tells a home from any other folder.
constexpr Folder kFolders[] = {
    {"launcher", false, false, 0700}, {"store", false, false, 0700}, {"run", false, true, 0750},
    {"log", false, true, 0750},       {"state", true, true, 0700},   {"blobs", true, true, 0700},
    {"runs", true, true, 0700},
};

bool can_enter(const struct stat& st, const sys::SystemUser& user) {
  if (st.st_uid == user.uid) return (st.st_mode & S_IXUSR) != 0;
  if (st.st_gid == user.gid) return (st.st_mode & S_IXGRP) != 0;
  return (st.st_mode & S_IXOTH) != 0;
}

// Makes `path` and what is missing above it (0755), looks at each folder on the way.
Result<> walk(const std::string& path, const sys::SystemUser& user) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string folder = path.substr(0, end);
    TRY(sys::ensure_dir_at(sys::kCwd, folder, 0755));
    const auto fd = TRY(sys::open_directory(folder));
    const struct stat st = TRY(sys::stat_fd(fd.get()));
    if (!can_enter(st, user)) {
      return Error{Errc::denied,
                   fmt::format("the user {} cannot enter {}, so tared could not work there: choose "
                               "another home (--home) or `chmod o+x {}`",
                               user.name, folder, folder)};
    }
  }
  return ok();
}

Result<> set_up(int home, const Folder& folder, const sys::SystemUser& user) {
  TRY(sys::ensure_dir_at(home, folder.name, 0700));
  auto fd = TRY(sys::open_beneath(home, folder.name, O_RDONLY | O_DIRECTORY));
  TRY(sys::own_fd(fd.get(), folder.of_user ? user.uid : 0, folder.for_group ? user.gid : 0));
  return sys::chmod_fd(fd.get(), folder.mode);
}

// Changing the owner of /var/log because somebody typed --home /var would be a bad surprise.
Result<> refuse_other_folders(int home, const std::string& path) {
  const bool empty = TRY(sys::list_dir(home, ".")).empty();
  if (empty || sys::exists_at(home, kFolders[0].name)) return ok();
  return Error{Errc::conflict,
               fmt::format("{} is neither empty nor a home of Tare: choose another folder", path)};
}

}  // namespace

Result<> prepare_own_home(const Home& home, const sys::SystemUser& caller) {
  TRY(walk(home.path, caller));
  auto fd = TRY(sys::open_at(sys::kCwd, home.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const struct stat st = TRY(sys::stat_fd(fd.get()));
  if (st.st_uid != caller.uid || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{Errc::denied,
                 fmt::format("{} must belong to {} and be writable by nobody else: `chmod go-w {}`",
                             home.path, caller.name, home.path)};
  }
  TRY(refuse_other_folders(fd.get(), home.path));
  // Their owners and modes are as they were made: tare-store has taken over some since.
  for (const Folder& folder : kFolders) TRY(sys::ensure_dir_at(fd.get(), folder.name, folder.mode));
  return ok();
}

Result<> prepare_home(const Home& home, const sys::SystemUser& user) {
  TRY(walk(home.path, user));
  auto fd = TRY(sys::open_at(sys::kCwd, home.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const struct stat st = TRY(sys::stat_fd(fd.get()));
  if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{
        Errc::denied,
        fmt::format("{} must belong to root and be writable by root only: `chown root:root "
                    "{} && chmod 755 {}`",
                    home.path, home.path, home.path)};
  }
  TRY(refuse_other_folders(fd.get(), home.path));
  for (const Folder& folder : kFolders) {
    TRY(set_up(fd.get(), folder, user).context(fmt::format("{}/{}", home.path, folder.name)));
  }
  return ok();
}

}  // namespace tare::cli
