// tare-files: folders. Sources: getdents64(2), unlinkat(2), readlinkat(2).
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/files/out.h"
#include "sandbox/init/raw.h"

namespace tare::sandbox::files {

namespace {

using init::Fd;

// The entries of an open folder, one after the other, without "." and "..".
class Names {
 public:
  explicit Names(int folder) : folder_(folder) {}
  // nullptr at the end, or on an error (`error`).
  const char* next() {
    for (;;) {
      if (at_ == size_ && !fill()) return nullptr;
      const auto* entry = reinterpret_cast<const dirent64*>(buffer_ + at_);
      at_ += entry->d_reclen;
      const char* name = entry->d_name;
      if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) return name;
    }
  }
  int error = 0;

 private:
  bool fill() {
    const long n = ::syscall(SYS_getdents64, folder_, buffer_, sizeof buffer_);
    if (n < 0) error = errno;
    at_ = 0;
    size_ = n > 0 ? n : 0;
    return n > 0;
  }
  int folder_;
  long at_ = 0, size_ = 0;
  alignas(dirent64) char buffer_[4096];
};

FileType type_of(mode_t mode) {
  if (S_ISREG(mode)) return FileType::file;
  if (S_ISDIR(mode)) return FileType::directory;
  if (S_ISLNK(mode)) return FileType::symlink;
  if (S_ISFIFO(mode)) return FileType::fifo;
  if (S_ISSOCK(mode)) return FileType::socket;
  return FileType::device;
}

// False when it has gone meanwhile.
bool put_entry(int folder, const char* name) {
  struct stat status = {};
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  FileEntry entry;
  entry.name_bytes = static_cast<std::uint32_t>(std::strlen(name));
  entry.type = type_of(status.st_mode);
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.size = static_cast<std::uint64_t>(status.st_size);
  const std::int64_t ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
  entry.modified_ns = ns > 0 ? static_cast<std::uint64_t>(ns) : 0;
  char target[kMaxFileTargetBytes];
  if (entry.type == FileType::symlink) {
    const ssize_t n = ::readlinkat(folder, name, target, sizeof target);
    if (n > 0) entry.target_bytes = static_cast<std::uint32_t>(n);
  }
  put(&entry, sizeof entry);
  put(name, entry.name_bytes);
  put(target, entry.target_bytes);
  return true;
}

// 0, an errno, or one of ours.
std::uint32_t remove_entry(int folder, const char* name, int depth);

std::uint32_t empty_folder(int parent, const char* name, int depth) {
  if (depth == kMaxTreeDepth) return kFileErrorTooDeep;
  const Fd folder(
      ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!folder.valid()) return static_cast<std::uint32_t>(errno);
  Names names(folder.get());
  while (const char* entry = names.next()) {
    const std::uint32_t error = remove_entry(folder.get(), entry, depth + 1);
    if (error != 0 && error != ENOENT) return error;
  }
  return static_cast<std::uint32_t>(names.error);
}

std::uint32_t remove_entry(int folder, const char* name, int depth) {
  if (::unlinkat(folder, name, 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return static_cast<std::uint32_t>(errno);
  if (::unlinkat(folder, name, AT_REMOVEDIR) == 0) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return static_cast<std::uint32_t>(errno);
  if (const std::uint32_t error = empty_folder(folder, name, depth); error != 0) return error;
  return ::unlinkat(folder, name, AT_REMOVEDIR) == 0 ? 0 : static_cast<std::uint32_t>(errno);
}

}  // namespace

int list_folder(const char* path, std::uint64_t most) {
  const Fd folder(::open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
  if (!folder.valid()) return answer_errno();
  put_head(0);
  Names names(folder.get());
  FileEntry end;
  for (std::uint64_t listed = 0; const char* name = names.next();) {
    if (listed == most) {
      end.size = 1;
      break;
    }
    if (put_entry(folder.get(), name)) ++listed;
  }
  if (names.error != 0) return 1;  // without an end: not a whole list
  put(&end, sizeof end);
  return 0;
}

int stat_path(const char* path) {
  struct stat status = {};
  if (::lstat(path, &status) != 0) return answer_errno();
  const std::size_t size = std::strlen(path);
  if (size > 4095) return answer(ENAMETOOLONG);
  put_head(0);
  // The entry has the path's last name; "/" and the like have none, and are named ".".
  const char* slash = std::strrchr(path, '/');
  const char* name = slash == nullptr ? path : slash + 1;
  static char parent[4096];
  const auto bytes = static_cast<std::size_t>(name - path);
  std::memcpy(parent, path, bytes);
  parent[bytes] = '\0';
  const bool plain = *name != '\0' && std::strcmp(name, "..") != 0;
  const Fd folder(
      ::open(plain ? (bytes == 0 ? "." : parent) : path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  return folder.valid() && put_entry(folder.get(), plain ? name : ".") ? 0 : 1;
}

int remove_path(const char* path, bool recursive) {
  if (recursive) return answer(remove_entry(AT_FDCWD, path, 0));
  if (::unlinkat(AT_FDCWD, path, 0) == 0) return answer(0);
  if (errno != EISDIR && errno != EPERM) return answer_errno();
  return ::unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0 ? answer(0) : answer_errno();
}

int make_folder(const char* path, unsigned mode, bool parents) {
  static char part[4096];
  const std::size_t size = std::strlen(path);
  if (size == 0 || size >= sizeof part) return answer(size == 0 ? ENOENT : ENAMETOOLONG);
  for (std::size_t i = 1; parents && i < size; ++i) {
    if (path[i] != '/') continue;
    std::memcpy(part, path, i);
    part[i] = '\0';
    if (::mkdir(part, 0755) != 0 && errno != EEXIST) return answer_errno();
  }
  if (::mkdir(path, mode & 0777) == 0) return answer(0);
  if (errno != EEXIST || !parents) return answer_errno();
  struct stat status = {};
  return ::stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? answer(0) : answer(EEXIST);
}

}  // namespace tare::sandbox::files
