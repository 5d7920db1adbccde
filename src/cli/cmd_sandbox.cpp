// What a sandbox is: tare posture, tare run --profile, tare bench.
#include <unistd.h>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/daemons.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "sys/files.h"
#include "sys/spawn.h"

namespace tare::cli {
namespace {

constexpr std::string_view kPosture = "tare-posture";
constexpr std::string_view kBench = "bench_sandbox";
constexpr std::size_t kLineWidth = 96;

std::string joined(const JsonArray& words) {
  std::string out;
  for (const Json& word : words) {
    if (!out.empty()) out += ", ";
    if (word.is_string()) out += printable(word.as_string());
  }
  return out.empty() ? "none" : out;
}

// "  title  words, words," with the words in a column of their own.
std::string paragraph(std::string_view title, std::string_view text) {
  constexpr std::size_t kTitle = 14;
  std::string out;
  std::string line = fmt::format("  {:<{}}", title, kTitle);
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    if (line.size() + space > kLineWidth) {
      out += line + "\n";
      line = std::string(kTitle + 2, ' ');
    }
    line += fmt::format("{}{}", line.back() == ' ' ? "" : " ", text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out + line + "\n";
}

std::string profile_text(const Json& profile) {
  std::string out = printable(text_at(profile, {"name"})) + "\n";
  out += paragraph("", printable(text_at(profile, {"summary"}), 400));
  for (const std::string_view part :
       {"capabilities", "sockets", "conditional", "refused", "ignored"})
    out += paragraph(part, joined(array_at(profile, part)));
  out += fmt::format("  {:<14}{} system calls\n", "allowed", array_at(profile, "allowed").size());
  return out;
}

}  // namespace

Result<int> run_command(const ProfilesCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/profiles", ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  std::string text =
      "A profile says what the processes of a run may ask of the kernel. None ever has a "
      "capability\n"
      "outside of its own user namespace. `conditional`: allowed with some arguments; `refused`:\n"
      "answers an error, never kills; `ignored`: answers that it was done, and is not. A call that "
      "is in\n"
      "no list answers ENOSYS. --json lists all.\n";
  for (const Json& profile : array_at(answer.body, "profiles"))
    text += "\n" + profile_text(profile);
  TRY(app.print(text, ctx));
  return kExitOk;
}

// An ordinary run, on record like any other, of the program that looks around.
Result<int> run_command(const PostureCommand& command, App& app, const fiber::Context& ctx) {
  RunCommand run;
  run.environment = command.environment;
  run.inputs.push_back({std::string(kPosture), TRY(find_program(kPosture))});
  run.argv = {fmt::format("/input/{}", kPosture)};
  run.user = command.user;
  run.profile = command.profile;
  run.json = command.json;
  run.tells_denied = false;  // its probes are refused on purpose, and what it prints says so
  return run_command(run, app, ctx);
}

// It has daemons and a home of its own: what runs here already is not disturbed, only slowed down.
Result<int> run_command(const BenchCommand& command, App&, const fiber::Context&) {
  if (::geteuid() != 0)
    return Error{Errc::denied, "`tare bench` needs root: it makes sandboxes of its own"};
  const std::string program = TRY(find_program(kBench));
  sys::SpawnOptions options{
      .program = program, .argv = {std::string(kBench)}, .env = child_environment()};
  options.env.push_back("TARE_BIN_DIR=" + program.substr(0, program.rfind('/')));
  const sys::UniqueFd out = TRY(sys::dup_fd(STDOUT_FILENO));  // spawn() takes none below 3
  const sys::UniqueFd err = TRY(sys::dup_fd(STDERR_FILENO));
  options.out = out.get();
  options.err = err.get();
  auto& argv = options.argv;
  if (!command.only.empty()) argv.insert(argv.end(), {"--only", command.only});
  if (command.count) argv.insert(argv.end(), {"--n", std::to_string(*command.count)});
  if (command.full) argv.emplace_back("--full");
  if (command.json) argv.emplace_back("--json");
  // Nothing else is on this loop: it may wait.
  const sys::ExitStatus ended = TRY(TRY(sys::spawn(options)).reap());
  return ended.signalled ? 128 + ended.code : ended.code;
}

}  // namespace tare::cli
