// tare doctor, version, help.
#include <unistd.h>

#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/daemons.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "fiber/wait.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/spawn.h"
#include "sys/users.h"

namespace tare::cli {
namespace {

constexpr std::chrono::seconds kDoctorWithin{120};
constexpr std::size_t kMaxDoctorBytes = std::size_t{1} << 20;

Result<std::string> read_to_end(int fd, const fiber::Context& ctx) {
  std::string out;
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    TRY(fiber::wait_readable(fd, ctx));
    const std::size_t n = TRY(sys::read_some(fd, std::as_writable_bytes(std::span(buffer))));
    if (n == 0) return out;
    out.append(buffer.data(), n);
    if (out.size() > kMaxDoctorBytes)
      return Error{Errc::exhausted, "tare-launcher --doctor says too much"};
  }
}

// What the launcher found when it tried each primitive.
Result<JsonArray> launcher_checks(const App& app, const std::string& user,
                                  const fiber::Context& ctx) {
  const std::string program = TRY(find_program(kLauncher));
  auto pipe = TRY(sys::make_pipe());
  const auto errors = TRY(sys::dup_fd(STDERR_FILENO));
  sys::SpawnOptions options{.program = program,
                            .argv = {std::string(kLauncher), "--doctor", "--json", "--home",
                                     app.target.home, "--user", user},
                            .env = child_environment()};
  options.out = pipe.write.get();
  options.err = errors.get();
  auto process = TRY(sys::spawn(options));
  pipe.write.reset();
  auto text = read_to_end(pipe.read.get(), ctx.with_timeout(kDoctorWithin));
  if (!text) static_cast<void>(process.signal(9));
  const auto status = TRY(process.reap());
  if (!text) return std::move(text).error().context("tare-launcher --doctor");
  const auto json = parse_json(*text);
  if (!json || array_at(*json, "checks").empty()) {
    return Error{Errc::internal,
                 fmt::format("tare-launcher --doctor printed no checks ({} {})",
                             status.signalled ? "signal" : "exit status", status.code)};
  }
  return array_at(*json, "checks");
}

Json check(std::string_view name, const Error* error, std::string_view detail,
           std::string_view consequence) {
  return JsonObject{{"name", name},
                    {"ok", error == nullptr},
                    {"warning", false},
                    {"detail", error == nullptr ? detail : std::string_view(error->message)},
                    {"consequence", error == nullptr ? "" : consequence},
                    {"fix", ""}};
}

void add_own_checks(JsonArray& checks) {
  for (const std::string_view name : {kStore, kTared}) {
    const auto program = find_program(name);
    checks.push_back(check(fmt::format("program {}", name), program ? nullptr : &program.error(),
                           program ? *program : "", "`tare up` cannot start it"));
  }
}

// Of one check: "missing" is required, "warning" is not.
std::string_view state_of(const Json& item) {
  if (!flag_at(item, {"ok"})) return "missing";
  return flag_at(item, {"warning"}) ? "warning" : "ok";
}

std::string check_text(const Json& item) {
  const std::string_view state = state_of(item);
  const bool good = state == "ok";
  std::string out = fmt::format("{:<7}  {}", state == "missing" ? "MISSING" : state,
                                printable(text_at(item, {"name"})));
  if (const auto detail = text_at(item, {"detail"}); !detail.empty())
    out += ": " + printable(detail, 300);
  out += "\n";
  if (good) return out;
  if (const auto cause = text_at(item, {"follows"}); !cause.empty())
    return out + fmt::format("           follows from: {}\n", printable(cause));
  if (const auto text = text_at(item, {"consequence"}); !text.empty()) {
    out += fmt::format("           so: {}\n", printable(text, 300));
  }
  if (const auto text = text_at(item, {"fix"}); !text.empty()) {
    out += fmt::format("           fix: {}\n", printable(text, 300));
  }
  return out;
}

}  // namespace

Result<int> run_command(const DoctorCommand& command, App& app, const fiber::Context& ctx) {
  // Without root the service would be the caller's own.
  const std::string user = ::geteuid() == 0 ? command.system_user : TRY(sys::own_user()).name;
  JsonArray checks = TRY(launcher_checks(app, user, ctx));
  add_own_checks(checks);
  std::size_t missing = 0, warnings = 0, following = 0;
  std::string text;
  for (Json& item : checks) {
    const std::string_view state = state_of(item);
    if (item.is_object()) item.get_object()["state"] = state;
    missing += state == "missing" ? 1 : 0;
    warnings += state == "warning" ? 1 : 0;
    following += state == "missing" && !text_at(item, {"follows"}).empty() ? 1 : 0;
    text += check_text(item);
  }
  text += missing == 0 ? "this host can run everything" : fmt::format("{} missing", missing);
  if (following > 0) text += fmt::format(", {} of them for the reason of another", following);
  text += warnings == 0 ? "\n" : fmt::format("; {} not there, and not required\n", warnings);
  if (::geteuid() != 0) text += "tried without root: as `tare up` of this user would find it\n";
  const Json json = JsonObject{
      {"ok", missing == 0}, {"missing", missing}, {"warnings", warnings}, {"checks", checks}};
  TRY(app.print(command.json ? pretty_text(json) : text, ctx));
  return missing == 0 ? kExitOk : kExitFailure;
}

Result<int> run_command(const VersionCommand& command, App& app, const fiber::Context& ctx) {
  const auto health = app.client.get("/v1/health", ctx);
  if (command.json) {
    JsonObject object{{"version", TARE_VERSION}};
    object["daemon"] = health ? health->body : Json(nullptr);
    TRY(app.print(pretty_text(object), ctx));
    return kExitOk;
  }
  std::string text = fmt::format("tare {}\n", TARE_VERSION);
  if (!health) {
    text += fmt::format("{}\n", printable(health.error().message, 300));
  } else {
    for (const Json& program : array_at(health->body, "programs")) {
      const std::string version = printable(text_at(program, {"version"}));
      const bool connected = flag_at(program, {"connected"});
      text += fmt::format("{} {}{}\n", printable(text_at(program, {"name"})), version,
                          connected         ? ""
                          : version.empty() ? "(not connected)"
                                            : " (refused: another release)");
    }
  }
  TRY(app.print(text, ctx));
  return kExitOk;
}

Result<int> run_command(const HelpCommand& command, App& app, const fiber::Context& ctx) {
  TRY(app.print(command.text, ctx));
  return kExitOk;
}

}  // namespace tare::cli
