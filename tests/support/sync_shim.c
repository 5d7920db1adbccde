// Preloaded (LD_PRELOAD) into a program under test: what it makes durable, and in which order. Two
// modes, by the environment:
//
//   TARE_SYNCS=FILE   a line for each call, before it is made: `sync PATH`, `syncfs PATH`, `rename
//                     FROM TO`, `send LETTER` (the first byte of a message, which is its type)
//   TARE_SYNCS=drop   fsync, fdatasync, syncfs and sync_file_range do nothing: a program as if they
//                     had been forgotten; in the program TARE_SYNCS_IN alone, if that is set
//
// Any process, any thread; lines are appended whole. Never fails a call that would succeed.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char* mode(void) { return getenv("TARE_SYNCS"); }
static int drops(void) {
  const char* only = getenv("TARE_SYNCS_IN");
  return mode() != NULL && strcmp(mode(), "drop") == 0 &&
         (only == NULL || strcmp(only, program_invocation_short_name) == 0);
}

static void tell(const char* line, int length) {
  if (mode() == NULL || strcmp(mode(), "drop") == 0) return;
  const int fd = open(mode(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, line, (size_t)length) != length) abort();
  close(fd);
}

static void path_of(int fd, char* into, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, into, size - 1);
  into[n < 0 ? 0 : n] = '\0';
}

static void tell_fd(const char* call, int fd) {
  char path[4096], line[4200];
  path_of(fd, path, sizeof path);
  tell(line, snprintf(line, sizeof line, "%s %s\n", call, path));
}

int fsync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  tell_fd("sync", fd);
  return drops() ? 0 : real(fd);
}

int syncfs(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "syncfs");
  tell_fd("syncfs", fd);
  return drops() ? 0 : real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  tell_fd("sync", fd);
  return drops() ? 0 : real(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
  static int (*real)(int, off64_t, off64_t, unsigned);
  if (real == NULL) {
    real = (int (*)(int, off64_t, off64_t, unsigned))dlsym(RTLD_NEXT, "sync_file_range");
  }
  return drops() ? 0 : real(fd, offset, size, flags);
}

int renameat(int from_dir, const char* from, int to_dir, const char* to) {
  static int (*real)(int, const char*, int, const char*);
  if (real == NULL) {
    real = (int (*)(int, const char*, int, const char*))dlsym(RTLD_NEXT, "renameat");
  }
  char from_path[4096], to_path[4096], line[9000];
  path_of(from_dir, from_path, sizeof from_path);
  path_of(to_dir, to_path, sizeof to_path);
  tell(line, snprintf(line, sizeof line, "rename %s/%s %s/%s\n", from_path, from, to_path, to));
  return real(from_dir, from, to_dir, to);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  static ssize_t (*real)(int, const struct msghdr*, int);
  if (real == NULL) {
    real = (ssize_t(*)(int, const struct msghdr*, int))dlsym(RTLD_NEXT, "sendmsg");
  }
  char line[32];
  if (message->msg_iovlen > 0 && message->msg_iov[0].iov_len > 0) {
    const int type = *(const unsigned char*)message->msg_iov[0].iov_base;
    tell(line, snprintf(line, sizeof line, "send %c\n", 'A' + type));
  }
  return real(fd, message, flags);
}
