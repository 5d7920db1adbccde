#include "host/pipe_write.h"

#include <unistd.h>

#include <cerrno>

#include "fiber/wait.h"

namespace tare::host {

// EIO: a terminal whose other side is closed.
Result<bool> write_pipe(int pipe, std::string_view bytes, std::uint64_t& given,
                        const fiber::Context& ctx) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(pipe, bytes.data(), bytes.size());
    if (n > 0) {
      given += static_cast<std::uint64_t>(n);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && (errno == EPIPE || errno == EIO)) {
      return false;
    } else if (n < 0 && errno == EAGAIN) {
      TRY(fiber::wait_writable(pipe, ctx));
    } else if (n < 0 && errno != EINTR) {
      return sys_error(errno, "stdin");
    }
  }
  return true;
}

}  // namespace tare::host
