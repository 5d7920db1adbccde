#include "sys/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "sys/retry.h"

namespace tare::sys {

namespace {

std::string named(std::string_view call, std::string_view path) {
  return std::string(call).append(" ").append(path);
}

Result<std::string> c_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos)
    return Error{Errc::invalid, "path contains a NUL byte"};
  return std::string(path);
}

}  // namespace

Result<UniqueFd> open_at(int dir, std::string_view path, int flags, unsigned mode) {
  const std::string text = TRY(c_path(path));
  const int fd = retry([&] { return ::openat(dir, text.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return sys_error(errno, named("open", path));
  return UniqueFd(fd);
}

Result<UniqueFd> open_beneath(int dir, std::string_view path, int flags, unsigned mode) {
  const std::string text = TRY(c_path(path));
  struct open_how how = {};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const auto fd = retry(
      [&] { return ::syscall(SYS_openat2, dir, text.c_str(), &how, sizeof how); });
  if (fd < 0) return sys_error(errno, named("open beneath", path));
  return UniqueFd(static_cast<int>(fd));
}

Result<UniqueFd> open_directory(std::string_view path) {
  return open_at(kCwd, path, O_PATH | O_DIRECTORY);
}

Result<std::string> read_all(int fd, std::size_t max_bytes) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t n = retry([&] { return ::read(fd, buffer, sizeof buffer); });
    if (n < 0) return sys_error(errno, "read");
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > max_bytes) {
      return Error{Errc::exhausted, "file is larger than " + std::to_string(max_bytes) + " bytes"};
    }
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file_at(int dir, std::string_view path, std::size_t max_bytes) {
  const UniqueFd fd = TRY(open_at(dir, path, O_RDONLY));
  return read_all(fd.get(), max_bytes).context(path);
}

Result<> write_control(int dir, std::string_view path, std::string_view text) {
  const UniqueFd fd = TRY(open_at(dir, path, O_WRONLY));
  const ssize_t n = retry([&] { return ::write(fd.get(), text.data(), text.size()); });
  if (n < 0) return sys_error(errno, named("write", path));
  if (static_cast<std::size_t>(n) != text.size())
    return Error{Errc::internal, named("short write", path)};
  return ok();
}

Result<> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = retry([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (n < 0) return sys_error(errno, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return ok();
}

Result<> write_all(int fd, std::string_view text) {
  return write_all(fd, std::as_bytes(std::span(text.data(), text.size())));
}

Result<> replace_file(int dir, std::string_view path, std::string_view text, unsigned mode) {
  const std::string target = TRY(c_path(path));
  const std::string temporary = target + ".new";
  const UniqueFd fd = TRY(open_at(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC, mode));
  TRY(write_all(fd.get(), text).context(temporary));
  if (::renameat(dir, temporary.c_str(), dir, target.c_str()) != 0)
    return sys_error(errno, named("rename", path));
  return ok();
}

Result<> write_file_atomic(int dir, std::string_view path, std::string_view text, unsigned mode) {
  const std::string target = TRY(c_path(path));
  const std::string temporary = target + ".new";
  {
    const UniqueFd fd = TRY(open_at(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC, mode));
    TRY(write_all(fd.get(), text).context(temporary));
    TRY(chmod_fd(fd.get(), mode));
    TRY(sync_fd(fd.get()).context(temporary));
  }
  if (::renameat(dir, temporary.c_str(), dir, target.c_str()) != 0)
    return sys_error(errno, named("rename", path));
  const std::size_t slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : target.substr(0, slash);
  const UniqueFd parent = TRY(open_at(dir, folder, O_RDONLY | O_DIRECTORY));
  return sync_fd(parent.get()).context(folder);
}

Result<> make_dir_at(int dir, std::string_view path, unsigned mode) {
  const std::string text = TRY(c_path(path));
  if (::mkdirat(dir, text.c_str(), mode) != 0) return sys_error(errno, named("mkdir", path));
  return ok();
}

Result<> ensure_dir_at(int dir, std::string_view path, unsigned mode) {
  auto made = make_dir_at(dir, path, mode);
  if (!made && made.error().sys == EEXIST) return ok();
  return made;
}

Result<> remove_at(int dir, std::string_view path) {
  const std::string text = TRY(c_path(path));
  if (::unlinkat(dir, text.c_str(), 0) != 0 && errno != ENOENT)
    return sys_error(errno, named("unlink", path));
  return ok();
}

Result<> remove_dir_at(int dir, std::string_view path) {
  const std::string text = TRY(c_path(path));
  if (::unlinkat(dir, text.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return sys_error(errno, named("rmdir", path));
  }
  return ok();
}

Result<> own_at(int dir, std::string_view path, uid_t uid, gid_t gid) {
  const std::string text = TRY(c_path(path));
  if (::fchownat(dir, text.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return sys_error(errno, named("chown", path));
  }
  return ok();
}

Result<> chmod_fd(int fd, unsigned mode) {
  if (::fchmod(fd, mode) != 0) return sys_error(errno, "fchmod");
  return ok();
}

Result<struct stat> stat_fd(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return sys_error(errno, "fstat");
  return status;
}

Result<> sync_fd(int fd) {
  if (::fsync(fd) != 0) return sys_error(errno, "fsync");
  return ok();
}

bool exists_at(int dir, std::string_view path) {
  const std::string text(path);
  return ::faccessat(dir, text.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<std::vector<std::string>> list_dir(int dir, std::string_view path, std::size_t max_entries) {
  UniqueFd fd = TRY(open_at(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
  if (stream == nullptr) return sys_error(errno, named("fdopendir", path));
  (void)fd.release();  // closedir closes it
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    if (names.size() == max_entries) {
      return Error{Errc::exhausted, named("more entries than allowed in", path)};
    }
    names.emplace_back(name);
  }
  if (errno != 0) return sys_error(errno, named("readdir", path));
  return names;
}

namespace {

// Depth-first with an explicit bound: a hostile tree can be deeper than a stack is large, and
// deeper than descriptors last. Below kMaxDepth a folder is first moved up to the root of the
// removal.
constexpr int kMaxDepth = 128;

// A hostile tree may hold the very names that are tried: then the next one is.
Result<> move_up(int root, int folder, const std::string& name, unsigned& moved) {
  constexpr unsigned kTries = 1'000'000;
  for (unsigned i = 0; i < kTries; ++i) {
    const std::string up = ".tare-removed-" + std::to_string(moved++);
    if (::renameat2(folder, name.c_str(), root, up.c_str(), RENAME_NOREPLACE) == 0) return ok();
    if (errno != EEXIST) return sys_error(errno, named("rename", name));
  }
  return Error{Errc::exhausted, named("no free name to move up", name)};
}

Result<> remove_contents(int root, int folder, dev_t device, int depth, unsigned& moved) {
  for (const std::string& name : TRY(list_dir(folder, "."))) {
    if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return sys_error(errno, named("unlink", name));
    if (depth >= kMaxDepth) {
      TRY(move_up(root, folder, name, moved));
      continue;
    }
    auto child = open_at(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!child) return std::move(child).error();
    const struct stat status = TRY(stat_fd(child->get()));
    if (status.st_dev != device)
      return Error{Errc::conflict, named("another file system is mounted at", name)};
    TRY(remove_contents(root, child->get(), device, depth + 1, moved));
    if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0)
      return sys_error(errno, named("rmdir", name));
  }
  return ok();
}

}  // namespace

Result<> remove_tree_at(int dir, std::string_view path) {
  const std::string text = TRY(c_path(path));
  if (::unlinkat(dir, text.c_str(), 0) == 0 || errno == ENOENT) return ok();
  const UniqueFd root = TRY(open_at(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const struct stat status = TRY(stat_fd(root.get()));
  unsigned moved = 0;
  unsigned before = 0;
  do {  // once more for the folders that were moved up because they lay too deep
    before = moved;
    TRY(remove_contents(root.get(), root.get(), status.st_dev, 0, moved).context(path));
  } while (moved != before);
  return remove_dir_at(dir, path);
}

Result<> set_nonblocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return sys_error(errno, "fcntl F_GETFL");
  if (::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0) {
    return sys_error(errno, "fcntl F_SETFL");
  }
  return ok();
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return sys_error(errno, "pipe2");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> dup_fd(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return sys_error(errno, "dup");
  return UniqueFd(copy);
}

}  // namespace tare::sys
