#include "sandbox/files/out.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tare::sandbox::files {

namespace {

char buffer[64 << 10];
std::size_t held = 0;

void write_all(const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
}

}  // namespace

void flush() {
  write_all(buffer, held);
  held = 0;
}

void put(const void* bytes, std::size_t size) {
  if (held + size > sizeof buffer) flush();
  if (size > sizeof buffer) return write_all(static_cast<const char*>(bytes), size);
  std::memcpy(buffer + held, bytes, size);
  held += size;
}

void put_head(std::uint32_t error, std::uint64_t size, std::uint32_t argument) {
  FileHead head;
  head.error = error;
  head.argument = argument;
  head.size = size;
  put(&head, sizeof head);
}

int answer(std::uint32_t error, std::uint32_t argument) {
  put_head(error, 0, argument);
  return error == 0 ? 0 : 1;
}

int answer_errno(std::uint32_t argument) {
  return answer(static_cast<std::uint32_t>(errno), argument);
}

bool get(void* bytes, std::size_t size) {
  auto* at = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t n = ::read(STDIN_FILENO, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace tare::sandbox::files
