#include "sandbox/init/apply.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "sandbox/init/raw.h"

namespace tare::sandbox::init {

namespace {

constexpr unsigned long kQuiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// The strings of a step lie in the plan with a NUL behind them (plan/reader.h).
const char* c_str(std::string_view text) { return text.data(); }

int loopback_up() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return errno;
  ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return outcome(::ioctl(socket.get(), SIOCSIFFLAGS, &request));
}

// The staged root came locked from the launcher's namespace, and a locked mount cannot become the
// root. A copy of the whole tree has an unlocked top and locks below it: that one can.
int enter_root(const char* stage) {
  const Fd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, stage,
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!tree.valid()) return errno;
  if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, stage, MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno;
  if (::chdir(stage) != 0) return errno;
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return errno;
  if (::umount2(".", MNT_DETACH) != 0) return errno;
  return outcome(::chdir("/"));
}

// The launcher has made the copy of the folder, read-only and without the rest of its file system;
// this namespace is another one than the launcher's, so only its own root can attach it.
int show_input(int tree, const char* path) {
  if (tree < 0) return EBADF;
  return outcome(static_cast<int>(
      ::syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH)));
}

// Processes show in /proc to who could trace them, and to tare-init by its group: so tare-init
// shows to nobody. As it is not dumpable its files there belong to root of the user namespace, and
// root inside could write some: oom_score_adj, autogroup.
int mount_proc(const char* path) {
  static_assert(kInitUid == 65533);
  return outcome(::mount("proc", path, "proc", kQuiet, "hidepid=invisible,gid=65533"));
}

int mask_file(const char* path) {
  if (::mount("/dev/null", path, nullptr, MS_BIND, nullptr) == 0) return 0;
  return errno == ENOENT ? 0 : errno;
}

// A folder of the read-only /dev, empty as long as nothing is mounted on it. Not a tmpfs: each file
// system costs the host's kernel memory in every memory cgroup there is (one of its shrinker).
int mask_dir(const char* path) {
  if (::mount("/dev/mqueue", path, nullptr, MS_BIND, nullptr) == 0) return 0;
  return errno == ENOENT ? 0 : errno;
}

int read_only(const char* path) {
  if (::mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return errno == ENOENT ? 0 : errno;
  return outcome(
      ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kQuiet, nullptr));
}

// Is something else in the place of a file, or of a folder on its way: a file, a link that leads to
// nothing or into what cannot be written? Then the platform's own is left out. Root inside, or an
// image, has made it so; and a session that could not wake for it would have lost all its files.
bool is_taken(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EROFS:
    case EACCES:
    case EPERM: return true;
    default: return false;
  }
}

// Puts the time of a folder back when it goes. A freeze leaves out what the platform writes there;
// it would keep the folder, for its time, although nobody has changed anything.
class KeptTime {
 public:
  // The parent of `path`, which is absolute.
  explicit KeptTime(std::string_view path) {
    const std::size_t length = std::min(path.rfind('/'), sizeof parent_ - 1);
    std::memcpy(parent_, path.data(), length);
    parent_[length == 0 ? 1 : length] = '\0';
    if (length == 0) parent_[0] = '/';
    known_ = ::lstat(parent_, &status_) == 0 && S_ISDIR(status_.st_mode);
  }
  KeptTime(const KeptTime&) = delete;
  KeptTime& operator=(const KeptTime&) = delete;
  ~KeptTime() {
    struct stat now = {};
    if (!known_ || ::lstat(parent_, &now) != 0) return;
    const timespec& then = status_.st_mtim;
    if (now.st_mtim.tv_sec == then.tv_sec && now.st_mtim.tv_nsec == then.tv_nsec) return;
    const timespec times[2] = {{0, UTIME_OMIT}, then};
    // One that keeps its new time costs an entry in a layer, nothing else.
    (void)::utimensat(AT_FDCWD, parent_, times, AT_SYMLINK_NOFOLLOW);
  }

 private:
  char parent_[64] = {};  // ours are a folder or two deep
  struct stat status_ = {};
  bool known_ = false;
};

int make_dir(const StepView& step) {
  const KeptTime kept(step.a);
  const char* path = c_str(step.a);
  const auto owner = static_cast<uid_t>(step.m);
  if (::mkdir(path, static_cast<mode_t>(step.n)) != 0) {
    if (errno != EEXIST) return is_taken(errno) ? 0 : errno;
    struct stat status = {};
    if (::lstat(path, &status) != 0) return errno;
    // A symlink in the image stays what it is; a folder of the right owner costs no copy-up.
    if (!S_ISDIR(status.st_mode) || status.st_uid == owner) return 0;
  } else if (::chmod(path, static_cast<mode_t>(step.n)) != 0) {
    return errno;
  }
  return outcome(::lchown(path, owner, static_cast<gid_t>(step.m)));
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

// The image may hold a symlink under this name: it is replaced, not followed.
int write_file(const StepView& step) {
  const KeptTime kept(step.a);
  const char* path = c_str(step.a);
  if (::unlink(path) != 0 && errno != ENOENT) return is_taken(errno) ? 0 : errno;
  const Fd file(::open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       static_cast<mode_t>(step.n)));
  if (!file.valid()) return is_taken(errno) ? 0 : errno;
  if (::fchmod(file.get(), static_cast<mode_t>(step.n)) != 0) return errno;
  return write_all(file.get(), step.b);
}

// Is there a line "name:x:<id>:..." in the text?
bool has_id(std::string_view text, std::uint64_t id) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    for (int colons = 0; colons < 2; ++colons) {
      const std::size_t colon = line.find(':');
      line = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    }
    std::uint64_t value = 0;
    std::size_t digits = 0;
    while (digits < line.size() && digits < 10 && line[digits] >= '0' && line[digits] <= '9') {
      value = value * 10 + static_cast<std::uint64_t>(line[digits++] - '0');
    }
    if (digits > 0 && (digits == line.size() || line[digits] == ':') && value == id) return true;
  }
  return false;
}

constexpr std::size_t kAccountsBytes = 256 * 1024;

// Appends `line` to an account file without an entry for `id`. A file that is a symlink, or too
// large to be one, is left alone: then the id just has no name.
int ensure_account(const char* path, std::uint64_t id, std::string_view line) {
  static char text[kAccountsBytes];
  open_how how = {};
  how.flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  how.mode = 0644;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const Fd file(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how)));
  if (!file.valid()) return is_taken(errno) ? 0 : errno;
  std::size_t size = 0;
  for (;;) {
    const ssize_t n = ::read(file.get(), text + size, sizeof text - size);
    if (n < 0) return errno;
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
    if (size == sizeof text) return 0;
  }
  if (has_id({text, size}, id)) return 0;
  if (size > 0 && text[size - 1] != '\n') {
    if (const int error = write_all(file.get(), "\n"); error != 0) return error;
  }
  return write_all(file.get(), line);
}

int ensure_user(const StepView& step) {
  // Only `agent`, uid 1000: the one user that the contract promises.
  if (step.a != "agent" || step.n != 1000) return EINVAL;
  const KeptTime kept("/etc/passwd");
  const int error = ensure_account("/etc/passwd", step.n,
                                   "agent:x:1000:1000:agent:/home/agent:/bin/sh\n");
  return error != 0 ? error : ensure_account("/etc/group", step.n, "agent:x:1000:\n");
}

int fill_file(const StepView& step) {
  const Fd file(::open(c_str(step.a), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return is_taken(errno) ? 0 : errno;
  return write_all(file.get(), step.b);
}

// Nothing that is started from here on can ever have more than `mask`.
int bound(std::uint64_t mask) {
  const bool program_has_none = mask == 0;
  unsigned long bits = SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |
                       SECBIT_NO_SETUID_FIXUP;
  // Without capabilities for the program, being uid 0 is nothing special to exec either.
  if (program_has_none)
    bits |= SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0) return errno;
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if ((mask >> capability & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // the kernel's last one was before
    return errno;
  }
  return 0;
}

// From here on tare-init cannot be touched by a program that is root inside: another uid, not
// dumpable, and few capabilities.
int settle(std::uint64_t uid, std::uint64_t mask) {
  const auto id = static_cast<unsigned>(uid);
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return errno;
  if (::syscall(SYS_setresgid, id, id, id) != 0) return errno;
  if (::syscall(SYS_setresuid, id, id, id) != 0) return errno;
  if (const int error = hold_only_capabilities(mask); error != 0) return error;
  // Both are cleared or reset by the change of ids.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return errno;
  return outcome(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
}

}  // namespace

int apply(const StepView& step, int input) {
  const char* path = c_str(step.a);
  switch (step.op) {
    // After the launcher has attached this process: the root of the namespace is where it is now.
    case Op::own_cgroups: return outcome(::unshare(CLONE_NEWCGROUP));
    case Op::hostname: return outcome(::sethostname(path, step.a.size()));
    case Op::loopback: return loopback_up();
    case Op::enter_root: return enter_root(path);
    case Op::proc: return mount_proc(path);
    case Op::devpts:
      return outcome(::mount("devpts", path, "devpts", MS_NOSUID | MS_NOEXEC,
                             "newinstance,ptmxmode=0666,mode=0620,gid=5,max=64"));
    case Op::mqueue: return outcome(::mount("mqueue", path, "mqueue", kQuiet, nullptr));
    case Op::mask_file: return mask_file(path);
    case Op::mask_dir: return mask_dir(path);
    case Op::read_only: return read_only(path);
    case Op::make_dir: return make_dir(step);
    case Op::write_file: return write_file(step);
    case Op::ensure_user: return ensure_user(step);
    case Op::input: return show_input(input, path);
    case Op::fill_file: return fill_file(step);
    case Op::bound: return bound(step.m);
    case Op::settle: return settle(step.n, step.m);
    default: return EINVAL;  // a step of the program: not ours
  }
}

}  // namespace tare::sandbox::init
