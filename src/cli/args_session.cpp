#include "cli/args_session.h"

#include <charconv>
#include <cstdlib>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/text.h"

namespace tare::cli {
namespace {

// "SESSION:PATH". A local path with a colon can always be written with a slash before it.
bool is_remote(std::string_view text) {
  const auto colon = text.find(':');
  return colon != std::string_view::npos && colon > 0 && text.find('/') > colon;
}

// The path may be left out: the home folder.
void split_remote(const std::string& text, std::string& session, std::string& path) {
  const auto colon = text.find(':');
  session = text.substr(0, colon);
  path = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (path.empty()) path = "/home/agent";
}

constexpr std::uint64_t kLeastIntervalMs = 1000;  // as docs/api/openapi.yaml has it

Result<std::uint64_t> parse_interval(std::string_view text) {
  const std::uint64_t ms = TRY(parse_time(text));
  if (ms >= kLeastIntervalMs) return ms;
  return Error{Errc::invalid,
               quote(text) + " is too short: at least " + format_duration(kLeastIntervalMs)};
}

Result<Command> make_new(const Raw& raw) {
  if (raw.profile == kExplain) return Command(ProfilesCommand{raw.json});
  SessionNewCommand command;
  TRY(split_version(raw.agent, command.agent, command.version));
  if (raw.environment && !command.agent.empty())
    return Error{Errc::invalid, "session new takes an AGENT or --env, not both"};
  if (!command.agent.empty() && (raw.user || raw.profile))
    return Error{Errc::invalid, "--user and --profile are set by the agent, not by session new"};
  if (!command.agent.empty() && !raw.runner.empty())
    return Error{Errc::invalid, "--runner is for --env: an agent has its own"};
  command.environment = raw.environment.value_or("host");
  command.runner = raw.runner;
  for (const auto& text : raw.variables) command.env.push_back(TRY(variable_of(text)));
  command.limits = TRY(limits_of(raw));
  command.user = raw.user;
  command.profile = raw.profile;
  command.json = raw.json;
  if (raw.idle) command.idle_ms = TRY(parse_interval(*raw.idle).context("--idle"));
  if (raw.on_idle && !raw.idle) return Error{Errc::invalid, "--on-idle needs --idle TIME"};
  command.kill_idle = raw.on_idle == "kill";
  if (raw.checkpoint)
    command.checkpoint_ms = TRY(parse_interval(*raw.checkpoint).context("--checkpoint"));
  if (command.checkpoint_ms && command.limits.time_ms &&
      *command.checkpoint_ms >= *command.limits.time_ms)
    return Error{Errc::invalid,
                 "--checkpoint is no less than --timeout: its life is over before the first one"};
  command.durable = raw.durable;
  return Command(std::move(command));
}

Result<Command> make_shell(const Raw& raw) {
  ExecCommand command;
  command.session = raw.id;
  command.argv = {"/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec sh"};
  command.terminal = true;
  command.term = raw.term;
  command.cwd = raw.cwd;
  return Command(std::move(command));
}

Result<Command> make_attach(const Raw& raw) {
  AttachCommand command{raw.id, 0, raw.with_stdin};
  const std::string& text = raw.number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), command.number);
  if (error != std::errc{} || end != text.data() + text.size() || command.number == 0)
    return Error{Errc::invalid, fmt::format("attach: {} is not an exec's number; `tare session "
                                            "execs` lists them",
                                            quote(text))};
  return Command(std::move(command));
}

Result<Command> make_copy(const Raw& raw) {
  CopyCommand command;
  const bool from = is_remote(raw.from), to = is_remote(raw.to);
  if (from == to) {
    return Error{Errc::invalid,
                 "cp: exactly one of the two is inside: tare session cp SESSION:PATH LOCAL, or "
                 "tare session cp LOCAL SESSION:PATH (write ./a:b for a local name with a colon)"};
  }
  command.fetch = from;
  command.from = raw.from;
  command.to = raw.to;
  split_remote(from ? raw.from : raw.to, command.session, from ? command.from : command.to);
  return Command(std::move(command));
}

Result<Command> make_list(const Raw& raw) {
  FileListCommand command;
  split_remote(raw.from, command.session, command.path);
  command.json = raw.json;
  return Command(std::move(command));
}

Result<Command> make_remove(const Raw& raw) {
  FileRemoveCommand command;
  if (!is_remote(raw.from)) return Error{Errc::invalid, "rm: write SESSION:PATH"};
  split_remote(raw.from, command.session, command.path);
  command.recursive = raw.recursive;
  return Command(std::move(command));
}

Result<Command> make_move(const Raw& raw) {
  FileMoveCommand command;
  if (!is_remote(raw.from)) return Error{Errc::invalid, "mv: write SESSION:FROM TO"};
  split_remote(raw.from, command.session, command.from);
  command.to = raw.to;
  if (is_remote(raw.to)) {
    std::string other;
    split_remote(raw.to, other, command.to);
    if (other != command.session)
      return Error{Errc::invalid, "mv: both are in one session; use cp between two"};
  }
  command.replace = raw.replace;
  return Command(std::move(command));
}

constexpr const char* kSession = "A session's id, or the start or end of one";
constexpr const char* kLive = "A session's or an active run's id, or the start or end of one";
constexpr const char* kRemote = "SESSION:PATH, below /home/agent unless it begins with a slash";

void add_exec(CLI::App& session, Raw& raw, const Subgrammar& grammar) {
  auto* exec = grammar.add(session, "exec",
                           "Start a program in a session; exit with its status.\n"
                           "  tare session exec [-i] [-t] [-d] SESSION -- COMMAND [ARGS...]",
                           "tare session exec 7xk2 -- ls -l\n"
                           "  tare session exec -i 7xk2 -- tar x < files.tar\n"
                           "What it leaves running in the background lives until the session ends.",
                           make_exec);
  exec->add_option("SESSION", raw.id, kLive)->required();
  exec->add_flag("-i,--stdin", raw.with_stdin, "Pass our stdin on to the program");
  exec->add_flag("-t,--terminal", raw.terminal, "Give it a terminal; ours is passed through");
  exec->add_flag("-d,--detach", raw.detach, "Print the exec's number and return; it goes on");
  exec->add_option("--cwd", raw.cwd, "Where it starts (/home/agent)")->type_name("DIR");
  exec->add_option("--env-var,-e", raw.variables, "Set a variable")
      ->type_name("NAME=VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1);
  grammar.add_json(exec);
  auto* shell = grammar.add(session, "shell", "A shell in a session, in our terminal",
                            "tare session shell 7xk2", make_shell);
  shell->add_option("SESSION", raw.id, kLive)->required();
  shell->add_option("--cwd", raw.cwd, "Where it starts (/home/agent)")->type_name("DIR");
  auto* attach = grammar.add(session, "attach",
                             "Follow an exec from its first output on; exit with its status",
                             "tare session attach 7xk2 3", make_attach);
  attach->add_option("SESSION", raw.id, kLive)->required();
  attach->add_option("EXEC", raw.number, "Its number")->required();
  attach->add_flag("-i,--stdin", raw.with_stdin,
                   "Pass our stdin on; its end leaves the exec's open");
  auto* execs = grammar.add(session, "execs", "List what was started in a session",
                            "tare session execs 7xk2", [](const Raw& from) -> Result<Command> {
                              return Command(ExecListCommand{from.id, from.json});
                            });
  execs->add_option("SESSION", raw.id, kLive)->required();
  grammar.add_json(execs);
}

void add_files(CLI::App& session, Raw& raw, const Subgrammar& grammar) {
  auto* copy = grammar.add(session, "cp",
                           "Copy a file or a folder into a session, or out of it; - is our stdin "
                           "or stdout",
                           "tare session cp data.csv 7xk2:\n"
                           "  tare session cp 7xk2:/output/result .",
                           make_copy);
  copy->add_option("FROM", raw.from, "A local path, or SESSION:PATH")->required();
  copy->add_option("TO", raw.to, "SESSION:PATH, or a local path")->required();
  auto* list = grammar.add(session, "ls", "List a folder of a session",
                           "tare session ls 7xk2:/output", make_list);
  list->add_option("SESSION[:PATH]", raw.from, kRemote)->required();
  grammar.add_json(list);
  auto* remove = grammar.add(session, "rm", "Remove a file or an empty folder of a session",
                             "tare session rm -r 7xk2:old", make_remove);
  remove->add_option("SESSION:PATH", raw.from, kRemote)->required();
  remove->add_flag("-r,--recursive", raw.recursive, "Folders with all that is in them");
  auto* move = grammar.add(session, "mv", "Rename a file or a folder of a session",
                           "tare session mv 7xk2:a.txt b.txt", make_move);
  move->add_option("SESSION:FROM", raw.from, kRemote)->required();
  move->add_option("TO", raw.to, "The new path, in the same session")->required();
  move->add_flag("--replace", raw.replace, "Also when there is something of that name");
}

void add_sleeping(CLI::App& session, Raw& raw, const Subgrammar& grammar) {
  auto* hibernate = grammar.add(
      session, "hibernate",
      "Keep what sessions have changed on disk, and end their processes; they take no memory\n"
      "then. The next exec or file operation wakes them",
      "tare session hibernate 7xk2", [](const Raw& from) -> Result<Command> {
        return Command(SessionHibernateCommand{from.ids, from.json});
      });
  hibernate->add_option("SESSION", raw.ids, kSession)->required();
  grammar.add_json(hibernate);
  auto* checkpoint = grammar.add(
      session, "checkpoint",
      "Keep what sessions have changed on disk; they go on. One whose sandbox is lost, or whose\n"
      "machine loses its power, wakes with its last checkpoint",
      "tare session checkpoint 7xk2", [](const Raw& from) -> Result<Command> {
        return Command(SessionCheckpointCommand{from.ids, from.json});
      });
  checkpoint->add_option("SESSION", raw.ids, kSession)->required();
  grammar.add_json(checkpoint);
  auto* wake = grammar.add(session, "wake", "Wake sessions that hibernate",
                           "tare session wake 7xk2", [](const Raw& from) -> Result<Command> {
                             return Command(SessionWakeCommand{from.ids, from.json});
                           });
  wake->add_option("SESSION", raw.ids, kSession)->required();
  grammar.add_json(wake);
  auto* fork = grammar.add(
      session, "fork",
      "Make sessions that begin as what this one is now on disk; print their\n"
      "ids. It goes on; its processes are not copied",
      "tare session fork 7xk2 --count 3", [](const Raw& from) -> Result<Command> {
        return Command(SessionForkCommand{from.id, from.count.value_or(1), from.json});
      });
  fork->add_option("SESSION", raw.id, kSession)->required();
  fork->add_option("--count,-n", raw.count, "How many (1)")->check(CLI::Range(1, 64));
  grammar.add_json(fork);
}

}  // namespace

Result<Command> make_exec(const Raw& raw) {
  ExecCommand command;
  command.session = raw.id;
  command.argv = raw.command;
  if (command.argv.empty()) {
    return Error{Errc::invalid,
                 "session exec needs a command after `--`: tare session exec SESSION -- COMMAND"};
  }
  for (const auto& text : raw.variables) command.env.push_back(TRY(variable_of(text)));
  command.cwd = raw.cwd;
  command.term = raw.term;
  command.with_stdin = raw.with_stdin;
  command.terminal = raw.terminal;
  command.detach = raw.detach;
  command.json = raw.json;
  if (command.json && !command.detach)
    return Error{Errc::invalid, "--json is for --detach: else the program's output is printed"};
  return Command(std::move(command));
}

void add_session_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar) {
  auto* session = grammar.add(app, "session",
                              "Sandboxes that live until they are ended: programs, shells, files",
                              "tare session new\n  tare session shell 7xk2", nullptr);
  session->require_subcommand(1);
  auto* fresh = grammar.add(*session, "new", "Make a session; print its id",
                            "tare session new --env py --mem 2G --timeout 8h", make_new);
  fresh->add_option("AGENT", raw.agent, "Its environment, files, user and limits");
  fresh->add_option("--env", raw.environment, "An environment (host)")->type_name("ENV");
  fresh->add_option("--runner", raw.runner, "With --env: a runner to show in it")
      ->type_name("RUNNER");
  fresh->add_option("--env-var,-e", raw.variables, "Set a variable for all its programs")
      ->type_name("NAME=VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1);
  fresh->add_option("--idle", raw.idle, "When nothing was wanted of it for so long: --on-idle")
      ->type_name("TIME");
  fresh->add_option("--on-idle", raw.on_idle, "What happens then (hibernate)")
      ->type_name("hibernate|kill")
      ->check(CLI::IsMember({"hibernate", "kill"}));
  fresh
      ->add_option("--checkpoint", raw.checkpoint,
                   "Keep what it has changed so often (session checkpoint)")
      ->type_name("TIME");
  fresh->add_flag("--durable", raw.durable,
                  "Answer a change of its files, and the end of an exec, when a checkpoint has it");
  grammar.add_limits(fresh);
  grammar.add_rights(fresh);
  grammar.add_json(fresh);
  auto* list = grammar.add(*session, "list", "List the sessions that live", "tare session list",
                           [](const Raw& from) -> Result<Command> {
                             return Command(SessionListCommand{from.all, from.json});
                           });
  list->add_flag("-a,--all", raw.all, "Ended ones too");
  grammar.add_json(list);
  add_sleeping(*session, raw, grammar);
  add_exec(*session, raw, grammar);
  add_files(*session, raw, grammar);
  auto* kill = grammar.add(*session, "kill",
                           "End sessions now; what is in /output is kept (`tare artifacts`)",
                           "tare session kill 7xk2", [](const Raw& from) -> Result<Command> {
                             return Command(SessionKillCommand{from.ids, from.force, from.json});
                           });
  kill->add_option("SESSION", raw.ids, kSession)->required();
  kill->add_flag("--force", raw.force,
                 "Also one that hibernates and cannot be woken: its /output is lost");
  grammar.add_json(kill);
}

}  // namespace tare::cli
