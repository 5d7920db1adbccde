#include "cli/args.h"

#include <algorithm>

// With the other args_*.cpp (but args_raw.cpp) the only unit that sees CLI11: it takes seconds to
// compile.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/args_canary.h"
#include "cli/args_env.h"
#include "cli/args_raw.h"
#include "cli/args_refusal.h"
#include "cli/args_runner.h"
#include "cli/args_secret.h"
#include "cli/args_session.h"

namespace tare::cli {
namespace {

constexpr std::uint32_t kMostPool = 2000;  // what tare-launcher takes

using Make = Result<Command> (*)(const Raw&);

// The tree of commands, what each writes into Raw, and how Raw becomes its value.
class Grammar {
 public:
  // Of the groups of commands only the one with `command`, where there is one: to build all of the
  // tree takes longer than most of what `tare` does. Empty: all.
  explicit Grammar(Raw& raw, std::string_view command = {}) : raw_(raw) {
    app_.name("tare");
    app_.require_subcommand(0, 1);
    app_.fallthrough();
    app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    app_.set_help_flag("-h,--help", "Say how it is used");
    app_.add_option("--home", raw_.home, "Home of the daemon (else $TARE_HOME, else /var/lib/tare)")
        ->type_name("DIR");
    app_.add_option("--url", raw_.url,
                    "Reach tared by TCP (else $TARE_URL); the key is in $TARE_API_KEY")
        ->type_name("URL");
    app_.footer(
        "First steps:\n"
        "  tare up --detach                       start the daemons (as root)\n"
        "  tare run --env host -- echo hello      run a command in an empty sandbox\n"
        "  tare help run                          everything about one command\n"
        "Exit status: 0; that of the program (run); 64 usage, 66 not found, 69 no daemon, 70 our "
        "fault,\n"
        "  73 not possible now, 75 a limit, 77 not allowed, 125 the run failed through Tare "
        "itself.");
    const auto* only = std::ranges::find_if(kGroups, [&](const Group& group) {
      return std::ranges::find(group.commands, command) != group.commands.end();
    });
    for (const Group& group : kGroups) {
      if (only == kGroups.end() || only == &group) (this->*group.add)();
    }
  }

  Result<Command> parse(std::vector<std::string> arguments, bool has_command);
  const CLI::App& app() const { return app_; }

 private:
  struct Entry {
    CLI::App* app;
    Make make;
  };

  CLI::App* add_to(CLI::App& parent, std::string name, std::string what, std::string_view example,
                   Make make) {
    CLI::App* command = parent.add_subcommand(std::move(name), std::move(what));
    command->footer(fmt::format("Example:\n  {}", example));
    command->fallthrough();
    if (make != nullptr) entries_.push_back({command, make});
    return command;
  }
  CLI::App* add(std::string name, std::string what, std::string_view example, Make make) {
    return add_to(app_, std::move(name), std::move(what), example, make);
  }
  void json_flag(CLI::App* command) { command->add_flag("--json", raw_.json, "Print JSON"); }
  void user_option(CLI::App* command) {
    command->add_option("--user", raw_.system_user, "System user that tared runs as")
        ->type_name("NAME")
        ->capture_default_str();
  }

  Subgrammar subgrammar() {
    return {.add =
                [this](CLI::App& parent, std::string name, std::string what,
                       std::string_view example, Make make) {
                  return add_to(parent, std::move(name), std::move(what), example, make);
                },
            .add_json = [this](CLI::App* command) { json_flag(command); },
            .add_limits = [this](CLI::App* command) { add_limit_options(command); },
            .add_rights = [this](CLI::App* command) { add_rights_options(command); }};
  }
  struct Group {
    std::vector<std::string_view> commands;  // one that is left out is found, only later
    void (Grammar::*add)();
  };
  static const std::array<Group, 11> kGroups;
  void add_daemon_commands();
  void add_run_commands();
  void add_limit_options(CLI::App* run);
  void add_rights_options(CLI::App* run);
  void add_session_group() { add_session_commands(app_, raw_, subgrammar()); }
  void add_sandbox_commands();
  void add_run_list_commands();
  void add_env_group() { add_env_commands(app_, raw_, subgrammar()); }
  void add_canary_group() { add_canary_commands(app_, raw_, subgrammar()); }
  void add_secret_group() { add_secret_commands(app_, raw_, subgrammar()); }
  void add_agent_commands();
  void add_runner_group() { add_runner_commands(app_, raw_, subgrammar()); }
  void add_help();
  Result<Command> help() const;

  Raw& raw_;
  CLI::App app_{"Runs AI agents in sandboxes that start empty."};
  std::vector<Entry> entries_;
};

const std::array<Grammar::Group, 11> Grammar::kGroups = {{
    {{"up", "down", "doctor", "version"}, &Grammar::add_daemon_commands},
    {{"run"}, &Grammar::add_run_commands},
    {{"posture", "bench"}, &Grammar::add_sandbox_commands},
    {{"session"}, &Grammar::add_session_group},
    {{"ps", "logs", "inspect", "artifacts", "kill", "rm"}, &Grammar::add_run_list_commands},
    {{"env"}, &Grammar::add_env_group},
    {{"canary"}, &Grammar::add_canary_group},
    {{"secret"}, &Grammar::add_secret_group},
    {{"agent"}, &Grammar::add_agent_commands},
    {{"runner"}, &Grammar::add_runner_group},
    {{}, &Grammar::add_help},  // needs all of them
}};

void Grammar::add_help() {
  add("help", "Say how a command is used", "tare help run", nullptr)
      ->add_option("COMMAND", raw_.help_path, "Such as `run` or `env build`");
}

void Grammar::add_daemon_commands() {
  auto* up = add("up", "Start the daemons that are not running (as root)", "tare up --detach",
                 [](const Raw& raw) -> Result<Command> {
                   return Command(UpCommand{raw.detach, raw.port, raw.system_user, raw.pool});
                 });
  up->add_flag("--detach,-d", raw_.detach,
               "Return when they are ready; else stay, and end them on Ctrl-C");
  up->add_option("--port", raw_.port,
                 "TCP port on 127.0.0.1, 0 for any free one (7419 for the default home, else 0)")
      ->type_name("N")
      ->check(CLI::Range(0, 65'535));
  up->add_option("--pool", raw_.pool,
                 "Keep at most N empty sandboxes ready, of all kinds (32); 0: none")
      ->type_name("N")
      ->check(CLI::Range(kMostPool));
  user_option(up);
  add("down", "Hibernate the sessions, kill every active run, and end the daemons", "tare down",
      [](const Raw&) -> Result<Command> { return Command(DownCommand{}); });
  auto* doctor = add("doctor", "Try what this host can do; say what is missing and what follows",
                     "tare doctor", [](const Raw& raw) -> Result<Command> {
                       return Command(DoctorCommand{raw.json, raw.system_user});
                     });
  user_option(doctor);
  json_flag(doctor);
  json_flag(
      add("version", "Versions of this program and of the daemons", "tare version",
          [](const Raw& raw) -> Result<Command> { return Command(VersionCommand{raw.json}); }));
}

void Grammar::add_run_commands() {
  auto* run = add(
      "run",
      "Run an agent, or a command in an environment; wait for it and exit with its status.\n"
      "  tare run AGENT[@VERSION] [--input FILE...] [--out DIR] [OPTIONS] [-- ARGS...]\n"
      "  tare run --env ENV [OPTIONS] -- COMMAND [ARGS...]",
      "tare run stock-analyst --input stocks.csv --out result\n"
      "  tare run --env host --mem 64M --timeout 10s -- sh -c 'echo $((6*7))'",
      make_run);
  run->add_option("AGENT", raw_.agent, "An agent, perhaps with @VERSION");
  run->add_option("--env", raw_.environment,
                  "Run a command in this environment (`host`, or see `tare env list`)")
      ->type_name("ENV");
  run->add_option("--runner", raw_.runner, "With --env: the runner that is given the command")
      ->type_name("RUNNER");
  run->add_option("--input", raw_.inputs,
                  "File or folder to show below /input; NAME=FILE gives it a name")
      ->type_name("FILE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  run->add_option("--out,-o", raw_.out, "Folder for what the program leaves in /output")
      ->type_name("DIR");
  run->add_option("--env-var,-e", raw_.variables, "Set a variable")
      ->type_name("NAME=VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1);
  run->add_flag("-i,--stdin", raw_.with_stdin,
                "Pass our stdin on to the program (else it is empty)");
  run->add_flag("--detach,-d", raw_.detach, "Print the run's id and return; it goes on");
  run->add_flag("--dry-run", raw_.dry_run, "Print the plan of the sandbox; start nothing");
  run->add_flag("--json", raw_.json,
                "Print one JSON object at the end, with the output in it, instead of streaming");
  run->add_option("--idempotency-key", raw_.key,
                  "The same key gives the same run, however often it is sent")
      ->type_name("TEXT");
  add_limit_options(run);
  add_rights_options(run);
}

void Grammar::add_limit_options(CLI::App* run) {
  run->add_option("--mem", raw_.memory, "Memory of the whole process tree")->type_name("SIZE");
  run->add_option("--cpus", raw_.cpus, "CPU time per time, such as 0.5")->type_name("N");
  run->add_option("--pids", raw_.pids, "Processes and threads")->type_name("N");
  run->add_option("--disk", raw_.disk, "Bytes it may write in all")->type_name("SIZE");
  run->add_option("--inodes", raw_.inodes, "Files it may make")->type_name("N");
  run->add_option("--timeout", raw_.time, "Wall time, such as 10s; it is killed then")
      ->type_name("TIME");
  run->add_option("--output-limit", raw_.output, "Bytes of stdout and stderr; it is killed beyond")
      ->type_name("SIZE");
  run->add_option("--open-files", raw_.open_files, "Open files per process")->type_name("N");
}

void Grammar::add_rights_options(CLI::App* run) {
  run->add_option("--user", raw_.user, "With --env: agent (default) or root")
      ->type_name("USER")
      ->check(CLI::IsMember({"agent", "root"}));
  run->add_option("--profile", raw_.profile,
                  "With --env: strict, default or build; alone, it explains them")
      ->type_name("PROFILE")
      ->expected(0, 1)
      ->default_str("explain")
      ->check(CLI::IsMember({"strict", "default", "build", "explain"}));
}

void Grammar::add_sandbox_commands() {
  auto* posture = add(
      "posture",
      "Print all that a program in a sandbox has and can reach: ids, capabilities,\n"
      "descriptors, limits, mounts, what can be written, network, refused calls",
      "tare posture --profile strict", [](const Raw& raw) -> Result<Command> {
        return Command(
            PostureCommand{raw.environment.value_or("host"), raw.user, raw.profile, raw.json});
      });
  posture->add_option("--env", raw_.environment, "In this environment (host)")->type_name("ENV");
  posture->add_option("--user", raw_.user, "agent (default) or root")
      ->type_name("USER")
      ->check(CLI::IsMember({"agent", "root"}));
  posture->add_option("--profile", raw_.profile, "strict, default or build")
      ->type_name("PROFILE")
      ->check(CLI::IsMember({"strict", "default", "build"}));
  json_flag(posture);
  auto* bench = add("bench",
                    "Measure on this machine what a sandbox costs, beside bubblewrap, runc and\n"
                    "systemd-nspawn where they are installed (as root; a minute)",
                    "tare bench --only fresh\n  tare bench --json --n 200",
                    [](const Raw& raw) -> Result<Command> {
                      return Command(BenchCommand{raw.name, raw.count, raw.all, raw.json});
                    });
  bench
      ->add_option("--only", raw_.name,
                   "One row: claim_launcher, claim_refill, claim_api, fresh, warm, cold, burst100, "
                   "staggered, mounts500, grown1g, churn, idle_memory, kill_reap, exec, "
                   "runner_change, cli")
      ->type_name("ROW");
  bench->add_option("--n", raw_.count, "So many measurements a row")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000));
  bench->add_flag("--full", raw_.all, "The heavy rows whole: a minute of churn, 2,000 idle");
  json_flag(bench);
}

void Grammar::add_run_list_commands() {
  auto* ps = add("ps", "List runs: the active ones, or the newest of all", "tare ps -a",
                 [](const Raw& raw) -> Result<Command> {
                   return Command(PsCommand{raw.all, raw.json, raw.agent, raw.limit});
                 });
  ps->add_flag("-a,--all", raw_.all, "Ended runs too");
  ps->add_option("--agent", raw_.agent, "Only runs of this agent")->type_name("NAME");
  ps->add_option("-n,--limit", raw_.limit, "At most so many")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  json_flag(ps);

  const std::string id = "A run id, or the start or end of one";
  auto* logs = add(
      "logs", "Print the output of a run, byte-exact; with -f exit with its status",
      "tare logs -f 7xk2\n"
      "Kept are the first 64 MiB of a run's output, both streams together, and up to "
      "8 MiB before\nits end. What is missing in between is told on stderr.",
      [](const Raw& raw) -> Result<Command> { return Command(LogsCommand{raw.id, raw.follow}); });
  logs->add_flag("-f,--follow", raw_.follow, "Go on until the run has ended");
  logs->add_option("ID", raw_.id, id)->required();
  add("inspect", "Print everything about a run as JSON, with its events", "tare inspect 7xk2",
      [](const Raw& raw) -> Result<Command> { return Command(InspectCommand{raw.id}); })
      ->add_option("ID", raw_.id, id)
      ->required();
  auto* artifacts = add("artifacts", "List what a run left in /output, or fetch it",
                        "tare artifacts 7xk2 --out result", [](const Raw& raw) -> Result<Command> {
                          return Command(ArtifactsCommand{raw.id, raw.out, raw.json});
                        });
  artifacts->add_option("ID", raw_.id, id)->required();
  artifacts->add_option("--out,-o", raw_.out, "Folder to put them in")->type_name("DIR");
  json_flag(artifacts);
  auto* kill = add(
      "kill", "End runs now, with everything they started", "tare kill 7xk2",
      [](const Raw& raw) -> Result<Command> { return Command(KillCommand{raw.ids, raw.json}); });
  auto* remove = add(
      "rm", "Remove ended runs with their logs and artifacts", "tare rm 7xk2",
      [](const Raw& raw) -> Result<Command> { return Command(RemoveCommand{raw.ids, raw.json}); });
  for (CLI::App* each : {kill, remove}) {
    each->add_option("ID", raw_.ids, id)->required();
    json_flag(each);
  }
}

void Grammar::add_agent_commands() {
  auto* agent = add("agent", "Agents: what to run, where, with which limits", "tare agent list",
                    nullptr);
  agent->require_subcommand(1);
  auto* apply = add_to(*agent, "apply", "Make a version of the agent described by DIR/agent.toml",
                       "tare agent apply examples/stock-analyst",
                       [](const Raw& raw) -> Result<Command> {
                         return Command(AgentApplyCommand{raw.directory, raw.json});
                       });
  apply->add_option("DIR", raw_.directory, "Folder with agent.toml and the files it names")
      ->required();
  json_flag(apply);
  json_flag(add_to(
      *agent, "list", "List agents", "tare agent list",
      [](const Raw& raw) -> Result<Command> { return Command(AgentListCommand{raw.json}); }));
  auto* show = add_to(*agent, "show", "Show one agent", "tare agent show stock-analyst@3",
                      make_agent_show);
  show->add_option("AGENT", raw_.name, "Its name, perhaps with @VERSION")->required();
  json_flag(show);
}

Result<Command> Grammar::help() const {
  if (raw_.help_path.empty()) {  // CLI11 would answer for the command that was parsed: `help`
    Raw unused;
    return Command(HelpCommand{Grammar(unused).app_.help()});
  }
  const CLI::App* at = &app_;
  std::string before;  // what is typed in front of its name
  for (const auto& name : raw_.help_path) {
    const auto all = at->get_subcommands(
        [&](const CLI::App* sub) { return sub->get_name() == name; });
    if (all.empty())
      return Error{Errc::invalid, fmt::format("help: there is no command {}", quote(name))};
    before += (before.empty() ? "" : " ") + at->get_name();
    at = all.front();
  }
  return Command(HelpCommand{at->help(before)});
}

Result<Command> Grammar::parse(std::vector<std::string> arguments, bool has_command) {
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants it
  try {
    app_.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return Command(HelpCommand{app_.help()});
  } catch (const CLI::ParseError& error) {
    return Error{Errc::invalid, refusal_text(app_, error, raw_)};
  }
  for (const Entry& entry : entries_) {
    if (!entry.app->parsed()) continue;
    if (has_command && entry.make != &make_run && entry.make != &make_exec &&
        entry.make != &make_env_build) {
      return Error{Errc::invalid,
                   "`--` and a command after it belong to `tare run`, `tare session exec` and "
                   "`tare env build --from` only"};
    }
    return entry.make(raw_);
  }
  return help();
}

}  // namespace

Result<Invocation> parse_args(const std::vector<std::string>& arguments,
                              const Environment& environment) {
  Raw raw;
  raw.term = environment.term;
  // What follows the first `--` is the sandbox's business: CLI11 never sees it.
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const bool has_command = dashes != arguments.end();
  if (has_command) raw.command.assign(dashes + 1, arguments.end());
  const std::vector<std::string> words(arguments.begin(), dashes);
  const Raw untouched = raw;
  auto command = Grammar(raw, command_in(words)).parse(words, has_command);
  if (!command || std::holds_alternative<HelpCommand>(*command)) {  // those need the whole of it
    raw = untouched;
    command = Grammar(raw).parse(words, has_command);
  }
  if (!command) return std::move(command).error();
  return Invocation{TRY(target_of(raw, environment)), std::move(*command)};
}

}  // namespace tare::cli
