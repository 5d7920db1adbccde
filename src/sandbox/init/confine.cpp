#include "sandbox/init/confine.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/init/raw.h"

namespace tare::sandbox::init {

int become(std::uint64_t uid, std::uint64_t gid) {
  const auto u = static_cast<unsigned>(uid);
  const auto g = static_cast<unsigned>(gid);
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return errno;
  if (::syscall(SYS_setresgid, g, g, g) != 0) return errno;
  return outcome(::syscall(SYS_setresuid, u, u, u));
}

// The listener is tare-init's. Where this machine's own sandbox has one already there can be no
// other (EBUSY): what would have been told is then refused with ENOSYS by the kernel.
int install_filter(std::string_view bytes, int& listener) {
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(bytes.size() / sizeof(sock_filter));
  program.filter = const_cast<sock_filter*>(reinterpret_cast<const sock_filter*>(bytes.data()));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  constexpr unsigned kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER |
                              SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  listener = static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program));
  if (listener >= 0) return 0;
  if (errno != EBUSY) return errno;
  return outcome(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

// A ruleset of Landlock, in the making.
int begin_ruleset(std::uint64_t rights, std::uint64_t scopes, int& ruleset) {
  // As the kernel's newest; Debian 12's header has the first member only. What is not used is not
  // passed: an older kernel refuses a longer one.
  struct {
    std::uint64_t rights, network, scopes;
  } attributes = {rights, 0, scopes};
  const std::size_t size = scopes != 0 ? sizeof attributes : sizeof attributes.rights;
  ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  return ruleset < 0 ? errno : 0;
}

int allow_beneath(const char* path, std::uint64_t rights, int ruleset) {
  const Fd folder(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : errno;
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = rights;
  rule.parent_fd = folder.get();
  return outcome(::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
}

int hold_ruleset(int ruleset) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  if (::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) return errno;
  return outcome(::close(ruleset));
}

// The instance of this sandbox, whatever /dev has become: nothing can be made in a devpts.
int make_terminal(std::uint64_t rows, std::uint64_t columns, int& master) {
  master = ::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (master < 0) return errno;
  const int unlocked = 0;
  if (::ioctl(master, TIOCSPTLCK, &unlocked) != 0) return errno;
  const int terminal = ::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return errno;
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  if (::ioctl(terminal, TIOCSWINSZ, &size) != 0 || ::ioctl(terminal, TIOCSCTTY, 0) != 0)
    return errno;
  for (int i = 0; i < 3; ++i) {
    if (::dup2(terminal, i) < 0) return errno;
  }
  ::close(terminal);
  return 0;
}

}  // namespace tare::sandbox::init
