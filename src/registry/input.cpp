#include "registry/input.h"

#include "sys/entries.h"

namespace tare::registry {

Result<std::size_t> Input::read_some(std::span<char> into) {
  return sys::read_some(fd_, std::as_writable_bytes(into));
}

// Byte by byte: a pipe cannot be given anything back.
Result<std::string> Input::read_line(std::size_t max_bytes) {
  std::string line;
  for (char c = 0; line.size() <= max_bytes;) {
    if (TRY(read_some(std::span(&c, 1))) == 0) return Error{Errc::invalid, "stdin: it ended early"};
    if (c == '\n') return line;
    line += c;
  }
  return Error{Errc::invalid, "stdin: its first line is too long"};
}

Result<std::string> Input::read_exactly(std::size_t bytes) {
  std::string out(bytes, '\0');
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t n = TRY(read_some(std::span(out).subspan(at)));
    if (n == 0) return Error{Errc::invalid, "archive: it was cut short"};
    at += n;
  }
  return out;
}

}  // namespace tare::registry
