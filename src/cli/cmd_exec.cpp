// tare session exec|shell|attach: a program in a live sandbox, seen from here. Exits as it did.
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "cli/run_output.h"
#include "fiber/signals.h"
#include "fiber/task_group.h"
#include "model/exec_json.h"
#include "sys/terminal.h"

namespace tare::cli {
namespace {

std::string exec_path(const std::string& id, std::uint64_t number, std::string_view rest = "") {
  return run_path(id, fmt::format("/execs/{}{}", number, rest));
}

// A person in front of an exec: what is typed goes to it, signals too, and the terminal is ours
// again however this ends.
class Attended {
 public:
  Attended(App& app, std::string id, std::uint64_t number, bool terminal, fiber::Signals signals,
           const fiber::Context& ctx)
      : app_(app),
        id_(std::move(id)),
        number_(number),
        terminal_(terminal),
        ctx_(ctx),
        signals_(std::move(signals)),
        following_(ctx),
        group_(ctx) {}

  Result<int> follow(bool with_stdin, bool keep_open);

 private:
  void watch(const fiber::Context& ctx);
  void pass_signal(int number, const fiber::Context& ctx);
  void resize(const fiber::Context& ctx);
  void feed(bool keep_open, const fiber::Context& ctx);

  App& app_;
  std::string id_;
  std::uint64_t number_;
  bool terminal_;
  fiber::Context ctx_;
  fiber::Signals signals_;
  std::optional<sys::TerminalMode> raw_;
  int signalled_ = 0;
  fiber::CancelScope following_;
  fiber::TaskGroup group_;  // last: its fibers use what is above
};

void Attended::watch(const fiber::Context& ctx) {
  for (;;) {
    const auto number = signals_.wait(ctx);
    if (!number) return;
    if (*number == SIGWINCH) {
      group_.spawn([this](const fiber::Context& task) { resize(task); });
      continue;
    }
    if (signalled_ != 0) {  // the same again leaves at once
      raw_.reset();
      ::_exit(128 + *number);
    }
    signalled_ = *number;
    group_.spawn(
        [this, signal = *number](const fiber::Context& task) { pass_signal(signal, task); });
  }
}

void Attended::pass_signal(int number, const fiber::Context& ctx) {
  const char* name = number == SIGINT ? "INT" : number == SIGHUP ? "HUP" : "TERM";
  auto sent = app_.client.post(exec_path(id_, number_, "/signal"), JsonObject{{"signal", name}},
                               ctx);
  if (!sent && sent.error().code != Errc::conflict)
    app_.note(fmt::format("exec {}: {}", number_, sent.error().message), ctx_);
}

void Attended::resize(const fiber::Context& ctx) {
  const auto size = sys::terminal_size(STDIN_FILENO);
  if (!terminal_ || !size) return;
  (void)app_.client.post(exec_path(id_, number_, "/resize"),
                         model::to_json(model::TerminalSize{size->rows, size->columns}), ctx);
}

void Attended::feed(bool keep_open, const fiber::Context& ctx) {
  StdInput input(STDIN_FILENO);
  const auto source = [&](std::span<char> buffer, const fiber::Context& body) {
    return input.read_some(buffer, body);
  };
  auto sent = app_.client.send(
      exec_path(id_, number_, keep_open ? "/stdin?keep_open=true" : "/stdin"), source, ctx);
  if (sent || ctx.cancelled() || sent.error().code == Errc::conflict) return;
  app_.note("stdin was cut off: " + sent.error().message, ctx_);
}

Result<int> Attended::follow(bool with_stdin, bool keep_open) {
  if (terminal_ && sys::is_terminal(STDIN_FILENO))
    raw_.emplace(TRY(sys::TerminalMode::raw(STDIN_FILENO)));
  group_.spawn([this](const fiber::Context& task) { watch(task); });
  fiber::TaskGroup feeding(ctx_);
  if (with_stdin) {
    feeding.spawn([this, keep_open](const fiber::Context& task) { feed(keep_open, task); });
  }
  StreamingSink sink(app_);
  auto ended = follow_frames(app_, {.id = id_, .path = exec_path(id_, number_), .attach = true},
                             sink, following_.context());
  raw_.reset();
  if (!ended && ended.error().sys == EPIPE) {  // nobody reads our output: like any pipe
    pass_signal(SIGTERM, ctx_);
    return kExitBrokenPipe;
  }
  const model::Exec exec = TRY(model::exec_from_json(TRY(std::move(ended))));
  if (!exec.outcome) return Error{Errc::internal, "tared ended the log of an exec that lives"};
  const model::Outcome& outcome = *exec.outcome;
  if (outcome.reason != model::EndReason::exited)
    app_.note(fmt::format("{} exec {}: {}", id_, number_, outcome.message), ctx_);
  return model::exit_status_of(outcome);
}

Json exec_request(const ExecCommand& command) {
  JsonArray env = text_list(command.env);
  JsonObject body{{"argv", text_list(command.argv)}, {"attach", !command.detach}};
  if (!command.cwd.empty()) body["cwd"] = command.cwd;
  if (command.terminal) {
    const auto size = sys::terminal_size(STDIN_FILENO).value_or(sys::TerminalSize{24, 80});
    body["terminal"] = model::to_json(model::TerminalSize{size.rows, size.columns});
    if (!command.term.empty()) env.emplace_back("TERM=" + command.term);
  } else if (command.with_stdin) {
    body["stdin"] = true;
  }
  if (!env.empty()) body["env"] = std::move(env);
  return body;
}

Result<fiber::Signals> block_signals() {
  return fiber::Signals::block({SIGINT, SIGTERM, SIGHUP, SIGWINCH});
}

}  // namespace

Result<int> run_command(const ExecCommand& command, App& app, const fiber::Context& ctx) {
  if (command.terminal && !command.detach && !sys::is_terminal(STDIN_FILENO)) {
    return Error{Errc::invalid,
                 "-t needs a terminal on our stdin, and so does a shell; without one use -i alone"};
  }
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  auto signals = TRY(block_signals());
  const Json created = TRY(app.client.post(run_path(id, "/execs"), exec_request(command), ctx))
                           .body;
  const std::uint64_t number = number_at(created, {"number"});
  if (command.detach) {
    TRY(app.print(command.json ? pretty_text(created) : std::to_string(number) + "\n", ctx));
    return kExitOk;
  }
  Attended attended(app, id, number, command.terminal, std::move(signals), ctx);
  return attended.follow(command.with_stdin || command.terminal, false);
}

Result<int> run_command(const AttachCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  auto signals = TRY(block_signals());
  const Json json = TRY(app.client.get(exec_path(id, command.number), ctx)).body;
  const model::Exec exec = TRY(model::exec_from_json(json));
  const bool terminal = exec.request.terminal.has_value();
  if (command.with_stdin && !terminal && !exec.request.with_stdin)
    return Error{Errc::conflict, "this exec was made without stdin"};
  Attended attended(app, id, command.number, terminal, std::move(signals), ctx);
  const bool live = exec.state != model::ExecState::ended;
  return attended.follow(live && (command.with_stdin || terminal), true);
}

Result<int> run_command(const ExecListCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  const auto answer = TRY(app.client.get(run_path(id, "/execs"), ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"EXEC", "STATE", "AGE", "COMMAND"});
  const std::uint64_t now_ms = app.clock.wall_ms();
  for (const Json& exec : array_at(answer.body, "execs")) {
    const Json* request = exec.is_object() ? exec.get_object().if_contains("request") : nullptr;
    std::string state = text_at(exec, {"state"});
    if (const std::string why = text_at(exec, {"outcome", "reason"}); why == "exited") {
      state = fmt::format("exit {}", number_at(exec, {"outcome", "exit_code"}));
    } else if (!why.empty()) {
      state = why;
    }
    table.add({std::to_string(number_at(exec, {"number"})), printable(state),
               age_text(number_at(exec, {"created_ms"}), now_ms),
               request != nullptr ? command_text(array_at(*request, "argv")) : ""});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

}  // namespace tare::cli
