#include "cli/secret_input.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include <fmt/core.h>

#include "base/secret.h"
#include "fiber/signals.h"
#include "fiber/task_group.h"
#include "sys/files.h"
#include "sys/terminal.h"

namespace tare::cli {

namespace {

constexpr std::size_t kLineEndBytes = 2;

Error too_long(const SecretKind& kind) {
  return Error{Errc::invalid,
               fmt::format("{} has {} to {} bytes; this is longer", kind.what, kind.min_bytes,
                           kind.max_bytes),
               0, "value"};
}

// Until the end, or of a terminal one line.
Result<std::string> read_stdin(const SecretKind& kind, bool one_line, const fiber::Context& ctx) {
  StdInput input(STDIN_FILENO);
  std::string value;
  value.reserve(kind.max_bytes + kLineEndBytes + sys::kMaxTerminalLineBytes);  // it never grows
  std::array<char, sys::kMaxTerminalLineBytes> buffer{};
  for (;;) {
    const std::size_t n = TRY(input.read_some(buffer, ctx));
    if (one_line && n >= sys::kMaxTerminalLineBytes - 1) {
      return Error{Errc::invalid,
                   "a terminal passes on no more than 4095 bytes of a line; give it with --file"};
    }
    value.append(buffer.data(), n);
    if (n == 0 || (one_line && value.ends_with('\n'))) return value;
    if (value.size() > kind.max_bytes + kLineEndBytes) return too_long(kind);
  }
}

// Ctrl-C comes as a signal that is waited for, so that nothing dies with the echo off.
Result<std::string> ask(const SecretKind& kind, const std::string& name, App& app,
                        const fiber::Context& ctx) {
  auto signals = TRY(fiber::Signals::block({SIGINT, SIGTERM, SIGHUP}));
  auto quiet = TRY(sys::TerminalMode::no_echo(STDIN_FILENO));
  TRY(app.err.write(fmt::format("Value of {} (not shown): ", name), ctx));
  int signalled = 0;
  fiber::CancelScope reading(ctx);
  fiber::TaskGroup group(ctx);
  group.spawn([&](const fiber::Context& task) {
    if (const auto number = signals.wait(task)) {
      signalled = *number;
      reading.cancel();
    }
  });
  auto value = read_stdin(kind, true, reading.context());
  quiet.restore();
  (void)app.err.write("\n", ctx);  // the one that was typed was not shown
  group.cancel();
  group.join();
  if (signalled != 0) ::_exit(128 + signalled);
  return value;
}

Result<std::string> read_file(const SecretKind& kind, const std::string& path) {
  auto value = sys::read_file_at(sys::kCwd, path, kind.max_bytes + kLineEndBytes);
  if (!value && value.error().code == Errc::exhausted) return too_long(kind);
  return value;
}

void drop_line_end(std::string& value) {
  if (!value.ends_with('\n')) return;
  value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
}

}  // namespace

Result<std::string> read_secret_value(const SecretKind& kind, const std::string& name,
                                      const std::string& file, App& app,
                                      const fiber::Context& ctx) {
  // The value is in this process's memory from here on, and the process ends when it has sent it.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_error(errno, "PR_SET_DUMPABLE");
  std::string value;
  if (!file.empty()) {
    value = TRY(read_file(kind, file));
  } else if (sys::is_terminal(STDIN_FILENO)) {
    value = TRY(ask(kind, name, app, ctx));
  } else {
    value = TRY(read_stdin(kind, false, ctx));
  }
  drop_line_end(value);
  if (value.empty()) return Error{Errc::invalid, "the value is empty", 0, "value"};
  if (value.size() > kind.max_bytes) return too_long(kind);
  return value;
}

}  // namespace tare::cli
