// tare-files: the contents of files. Sources: sendfile(2), lseek(2) (SEEK_DATA), open(2)
// (O_TMPFILE), rename(2).
#include <fcntl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sandbox/files/out.h"
#include "sandbox/init/raw.h"

namespace tare::sandbox::files {

namespace {

using init::Fd;

constexpr std::uint64_t kPieceBytes = 1 << 20;
char piece[kMaxPieceBytes];

// Zeros that no disk is asked for.
void send_hole(std::uint64_t size) {
  static const char kZeros[64 << 10] = {};
  for (std::uint64_t done = 0; done < size;) {
    const std::uint64_t n = std::min<std::uint64_t>(sizeof kZeros, size - done);
    put(kZeros, n);
    done += n;
  }
}

// False when the file has become shorter: what was promised cannot be kept.
bool send_data(int file, std::uint64_t from, std::uint64_t to) {
  flush();
  auto at = static_cast<off_t>(from);
  while (static_cast<std::uint64_t>(at) < to) {
    const std::uint64_t left = to - static_cast<std::uint64_t>(at);
    ssize_t n = ::sendfile(STDOUT_FILENO, file, &at, std::min(left, kPieceBytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EINVAL) {  // a file system without splice
      n = ::pread(file, piece, std::min<std::uint64_t>(left, sizeof piece), at);
      if (n > 0) put(piece, static_cast<std::size_t>(n));
      if (n > 0) at += n;
      flush();
    }
    if (n <= 0) return false;
  }
  return true;
}

bool send_range(int file, std::uint64_t at, std::uint64_t end) {
  while (at < end) {
    const off_t data = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno != ENXIO) return send_data(file, at, end);
    const std::uint64_t begin = data < 0 ? end : std::min(static_cast<std::uint64_t>(data), end);
    send_hole(begin - at);
    if (begin == end) break;
    const off_t hole = ::lseek(file, static_cast<off_t>(begin), SEEK_HOLE);
    at = hole < 0 ? end : std::min(static_cast<std::uint64_t>(hole), end);
    if (at <= begin) at = end;
    if (!send_data(file, begin, at)) return false;
  }
  return true;
}

// Files of /proc say that they are empty: what there is is read first.
int send_unsized(int file, std::uint64_t offset, std::uint64_t length) {
  static_assert(kMaxUnsizedBytes <= sizeof piece);
  std::size_t size = 0;
  for (;;) {
    if (size == sizeof piece) return answer(kFileErrorTooLarge);
    const ssize_t n = ::read(file, piece + size, sizeof piece - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return answer_errno();
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (offset > size) return answer(kFileErrorOffset);
  const std::uint64_t wanted = std::min<std::uint64_t>(length, size - offset);
  put_head(0, wanted);
  put(piece + offset, wanted);
  return 0;
}

// Ends with a NUL behind the folder; `name` is what follows the last slash.
struct Split {
  char folder[4096];
  const char* name = nullptr;
};

bool split(const char* path, Split& out) {
  const std::size_t size = std::strlen(path);
  if (size == 0 || size + 2 > sizeof out.folder) return false;
  const char* slash = std::strrchr(path, '/');
  out.name = slash == nullptr ? path : slash + 1;
  const auto folder = static_cast<std::size_t>(out.name - path);
  std::memcpy(out.folder, path, folder);
  out.folder[folder] = '\0';
  if (folder == 0) std::strcpy(out.folder, ".");
  return *out.name != '\0' && std::strcmp(out.name, ".") != 0 && std::strcmp(out.name, "..") != 0;
}

void temporary_name(char (&name)[32]) {
  std::uint64_t number = 0;
  (void)::getrandom(&number, sizeof number, 0);
  std::strcpy(name, ".tare-");
  for (int i = 0; i < 16; ++i) name[6 + i] = "0123456789abcdef"[number >> (4 * i) & 15];
  name[22] = '\0';
}

// 0 when all has come; ECANCELED when it was given up.
int receive(int file) {
  for (;;) {
    std::uint32_t size = 0;
    if (!get(&size, sizeof size)) return ECANCELED;
    if (size == 0) return 0;
    if (size > sizeof piece || !get(piece, size)) return ECANCELED;
    for (std::size_t done = 0; done < size;) {
      const ssize_t n = ::write(file, piece + done, size - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      done += static_cast<std::size_t>(n);
    }
  }
}

// A file that is being written, beside what it will replace. Without a name as long as it is not
// whole: however we end, nothing of it is left. (Overlayfs can do that since Linux 6.10; before, it
// has a name, which goes unless we are killed.)
struct Draft {
  int folder, file;
  char name[32] = "";  // ends with a NUL; empty: none
};

int open_draft(Draft& draft) {
  const int flags = O_WRONLY | O_CLOEXEC;
  draft.file = ::openat(draft.folder, ".", flags | O_TMPFILE, 0600);
  if (draft.file >= 0) return 0;
  if (errno != EOPNOTSUPP) return errno;
  temporary_name(draft.name);
  draft.file = ::openat(draft.folder, draft.name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  return draft.file >= 0 ? 0 : errno;
}

int link_draft(const Draft& draft, const char* name) {
  char self[40];
  std::snprintf(self, sizeof self, "/proc/self/fd/%d", draft.file);
  return ::linkat(AT_FDCWD, self, draft.folder, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

// 0, or errno; then no draft is left. What stands there is replaced, not followed: neither a
// symlink nor a FIFO is in the way. Only what has a name can take the place of something, so the
// draft has one for a moment; tared neither ends us then, nor is the folder copied.
int place(Draft& draft, const char* name) {
  if (draft.name[0] == '\0') {
    if (const int error = link_draft(draft, name); error != EEXIST) return error;
    temporary_name(draft.name);
    if (const int error = link_draft(draft, draft.name); error != 0) return error;
  }
  if (::renameat(draft.folder, draft.name, draft.folder, name) == 0) return 0;
  const int error = errno;
  (void)::unlinkat(draft.folder, draft.name, 0);
  return error;
}

}  // namespace

int read_file(const char* path, std::uint64_t offset, std::uint64_t length) {
  // O_NONBLOCK: a FIFO is opened at once, and then refused.
  const Fd file(::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) return answer(errno == ENXIO ? kFileErrorNotRegular : errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return answer_errno();
  if (S_ISDIR(status.st_mode)) return answer(EISDIR);
  if (!S_ISREG(status.st_mode)) return answer(kFileErrorNotRegular);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size == 0) return send_unsized(file.get(), offset, length);
  if (offset > size) return answer(kFileErrorOffset);
  const std::uint64_t wanted = std::min(length, size - offset);
  put_head(0, wanted);
  return send_range(file.get(), offset, offset + wanted) ? 0 : 1;
}

int write_file(const char* path, unsigned mode) {
  Split where;
  if (!split(path, where)) return answer(EINVAL);
  const Fd folder(::open(where.folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return answer_errno();
  Draft draft{folder.get(), -1};
  if (const int error = open_draft(draft); error != 0)
    return answer(static_cast<std::uint32_t>(error));
  const Fd file(draft.file);
  int error = receive(file.get());
  if (error == 0 && ::fchmod(file.get(), mode & 0777) != 0) error = errno;
  if (error == 0) {
    error = place(draft, where.name);
  } else if (draft.name[0] != '\0') {
    (void)::unlinkat(folder.get(), draft.name, 0);
  }
  return answer(static_cast<std::uint32_t>(error));
}

int move_path(const char* path, const char* to, bool replace) {
  if (::renameat2(AT_FDCWD, path, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE) == 0)
    return answer(0);
  const int error = errno;
  struct stat status = {};
  const bool first = ::lstat(path, &status) == 0;
  const bool second = error == EEXIST || error == ENOTEMPTY || error == EISDIR || first;
  return answer(static_cast<std::uint32_t>(error), second ? 1 : 0);
}

}  // namespace tare::sandbox::files
