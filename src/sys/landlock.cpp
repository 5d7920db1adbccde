#include "sys/landlock.h"

#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sys/fd.h"

namespace tare::sys {

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0,
                             LANDLOCK_CREATE_RULESET_VERSION);
  return static_cast<int>(std::max(abi, 0L));
}

std::uint64_t landlock_write_rights(int abi) {
  std::uint64_t rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                         LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                         LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                         LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  if (abi >= 2)
    rights |= LANDLOCK_ACCESS_FS_REFER;  // without it no link or rename between folders at all
  if (abi >= 3) rights |= landlock::kTruncate;
  return rights;
}

Result<bool> confine_writes_beneath(int dir) {
  const int abi = landlock_abi();
  // ABI 1 cannot allow a link between folders, which hard links in an archive need.
  if (abi < 2) return false;
  landlock_ruleset_attr attr = {};
  attr.handled_access_fs = landlock_write_rights(abi);
  const UniqueFd ruleset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0)));
  if (!ruleset.valid()) return sys_error(errno, "landlock ruleset");
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = attr.handled_access_fs;
  rule.parent_fd = dir;
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return sys_error(errno, "landlock rule");
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return sys_error(errno, "landlock restrict");
  return true;
}

}  // namespace tare::sys
