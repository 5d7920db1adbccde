// tare: the command line client. Reads the environment and the command line, runs one command,
// exits with its status (exit_status.h). Knows the daemon by HTTP only; `up`, `down` and `doctor`
// also know its programs.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/random.h"
#include "cli/app.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "fiber/loop.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? value : "";
}

// The one line that says what went wrong, and the status that goes with it.
int report(App& app, const Error& error, const fiber::Context& ctx) {
  if (error.sys == EPIPE) return kExitBrokenPipe;
  app.note(error_text(error), ctx);
  return exit_status_of(error.code);
}

// A usage error, before there is anything else.
int refuse(const Error& error) {
  const std::string text = fmt::format("tare: {}\nTry `tare help`, or `tare help COMMAND`.\n",
                                       error.message);
  static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) == 0);
  return exit_status_of(error.code);
}

// Needs nothing but stdout: works whatever the environment says.
int print_help(const HelpCommand& help) {
  const auto printed = tare::sys::write_all(STDOUT_FILENO, help.text);
  return printed ? kExitOk : refuse(printed.error());
}

// Does not return when a command was run. What is left then is memory, descriptors and connections:
// the kernel takes them back in one go, and the caller waits for it.
int run(const Invocation& invocation) {
  RealClock clock;
  SystemRandom random;
  auto client = Client::create(invocation.target);
  if (!client) return refuse(client.error());
  auto looped = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
    // In here: the connections it keeps must not outlive the loop.
    App app{.target = invocation.target,
            .client = std::move(client).value(),
            .clock = clock,
            .random = random};
    auto done = std::visit([&](const auto& command) { return run_command(command, app, ctx); },
                           invocation.command);
    ::_exit(done ? *done : report(app, done.error(), ctx));
  });
  return refuse(looped.error());
}

}  // namespace
}  // namespace tare::cli

int main(int argc, char** argv) {
  using namespace tare::cli;
  // A reader that has gone is an error of the write (EPIPE), not a death without a word.
  ::signal(SIGPIPE, SIG_IGN);
  const Environment environment{variable("TARE_HOME"), variable("TARE_URL"),
                                variable("TARE_API_KEY"), variable("TERM")};
  const auto invocation = parse_args({argv + 1, argv + argc}, environment);
  if (!invocation) return refuse(invocation.error());
  if (const auto* help = std::get_if<HelpCommand>(&invocation->command)) return print_help(*help);
  return run(*invocation);
}
