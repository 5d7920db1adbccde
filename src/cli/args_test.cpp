#include "cli/args.h"

#include <fmt/format.h>

namespace tare::cli {
namespace {

using Words = std::vector<std::string>;

Result<Invocation> parse(const Words& words, const Environment& environment = {}) {
  return parse_args(words, environment);
}

template <class T>
T command_of(const Words& words) {
  auto invocation = parse(words);
  EXPECT_TRUE(invocation.ok()) << (invocation.ok() ? "" : invocation.error().message);
  if (!invocation) return {};
  EXPECT_TRUE(std::holds_alternative<T>(invocation->command))
      << fmt::format("{}", fmt::join(words, " "));
  if (!std::holds_alternative<T>(invocation->command)) return {};
  return std::get<T>(invocation->command);
}

TEST(Args, every_command_that_a_script_may_read_takes_json) {
  for (const Words& words : std::vector<Words>{{"kill", "x"},
                                               {"rm", "x"},
                                               {"ps"},
                                               {"artifacts", "x"},
                                               {"version"},
                                               {"doctor"},
                                               {"run", "--env", "e", "--", "true"},
                                               {"env", "build", "debian:bookworm"},
                                               {"env", "freeze", "s", "--name", "n"},
                                               {"env", "fork", "a", "b"},
                                               {"env", "import", "f", "--name", "n"},
                                               {"env", "export", "a", "f"},
                                               {"env", "pull", "r/x:1", "--name", "n"},
                                               {"env", "push", "a", "r/x:1"},
                                               {"env", "list"},
                                               {"env", "show", "a"},
                                               {"env", "verify"},
                                               {"env", "diff", "a", "b"},
                                               {"env", "tree"},
                                               {"env", "gc"},
                                               {"env", "tag", "a", "b"},
                                               {"env", "rm", "a"},
                                               {"session", "new"},
                                               {"session", "list"},
                                               {"session", "hibernate", "s"},
                                               {"session", "wake", "s"},
                                               {"session", "fork", "s"},
                                               {"session", "kill", "s"},
                                               {"session", "execs", "s"},
                                               {"session", "ls", "s:/"},
                                               {"runner", "add", "d"},
                                               {"runner", "list"},
                                               {"runner", "show", "r"},
                                               {"runner", "rm", "r@1"},
                                               {"runner", "use", "r", "--agent", "a"},
                                               {"runner", "back", "--agent", "a"},
                                               {"runner", "history", "--agent", "a"},
                                               {"runner", "swap", "s"},
                                               {"agent", "apply", "d"},
                                               {"agent", "list"},
                                               {"agent", "show", "a"},
                                               {"canary", "add", "c"},
                                               {"canary", "list"},
                                               {"canary", "rm", "c"},
                                               {"secret", "set", "s"},
                                               {"secret", "rotate", "s"},
                                               {"secret", "list"},
                                               {"secret", "rm", "s"}}) {
    Words with_json = words;
    with_json.insert(words.front() == "run" ? with_json.begin() + 1 : with_json.end(), "--json");
    const auto parsed = parse(with_json);
    EXPECT_TRUE(parsed.ok()) << fmt::format("{}: ", fmt::join(words, " "))
                             << (parsed ? "" : parsed.error().message);
  }
}

TEST(Args, everything_after_the_dashes_is_the_command) {
  const auto run = command_of<RunCommand>({"run", "--env", "host", "--mem", "64M", "--", "sh", "-c",
                                           "echo $0", "--", "--json", "--home", "/x"});
  EXPECT_EQ(run.environment, "host");
  EXPECT_EQ(run.argv, (Words{"sh", "-c", "echo $0", "--", "--json", "--home", "/x"}));
  EXPECT_EQ(run.limits.memory_bytes, 64u << 20);
  EXPECT_FALSE(run.json);
}

TEST(Args, a_run_of_an_agent_takes_inputs_and_a_version) {
  const auto run = command_of<RunCommand>({"run", "stock-analyst@12", "--input", "a.csv",
                                           "prices.csv=b/c=d.csv", "./x=y", "--out", "result", "--",
                                           "--fast"});
  EXPECT_EQ(run.agent, "stock-analyst");
  EXPECT_EQ(run.version, 12u);
  EXPECT_EQ(run.inputs,
            (std::vector<InputOption>{{"", "a.csv"}, {"prices.csv", "b/c=d.csv"}, {"", "./x=y"}}));
  EXPECT_EQ(run.out, "result");
  EXPECT_EQ(run.argv, Words{"--fast"});
}

TEST(Args, every_limit_has_its_unit) {
  const auto limits = command_of<RunCommand>(
                          {"run",      "--env",        "host",      "--mem=1G", "--cpus",
                           "0.5",      "--pids",       "64",        "--disk",   "2M",
                           "--inodes", "100",          "--timeout", "1m30s",    "--output-limit",
                           "10M",      "--open-files", "99",        "--",       "true"})
                          .limits;
  EXPECT_EQ(limits.memory_bytes, 1u << 30);
  EXPECT_EQ(limits.cpu_millis, 500u);
  EXPECT_EQ(limits.pids, 64u);
  EXPECT_EQ(limits.disk_bytes, 2u << 20);
  EXPECT_EQ(limits.disk_inodes, 100u);
  EXPECT_EQ(limits.time_ms, 90'000u);
  EXPECT_EQ(limits.output_bytes, 10u << 20);
  EXPECT_EQ(limits.open_files, 99u);
}

TEST(Args, limits_that_were_not_asked_for_are_not_set) {
  const auto limits = command_of<RunCommand>({"run", "a"}).limits;
  EXPECT_FALSE(limits.memory_bytes || limits.cpu_millis || limits.pids || limits.disk_bytes ||
               limits.disk_inodes || limits.time_ms || limits.output_bytes || limits.open_files);
}

TEST(Args, variables_and_flags_of_a_run) {
  const auto run = command_of<RunCommand>(
      {"run", "--env", "host", "-e", "A=1", "-e", "B=x=y", "--env-var", "C=", "-i", "--json",
       "--user", "root", "--profile", "build", "--idempotency-key", "k 1", "--", "env"});
  EXPECT_EQ(run.env, (Words{"A=1", "B=x=y", "C="}));
  EXPECT_TRUE(run.with_stdin && run.json && !run.detach && !run.dry_run);
  EXPECT_EQ(run.user, "root");
  EXPECT_EQ(run.profile, "build");
  EXPECT_EQ(run.idempotency_key, "k 1");
}

TEST(Args, commands_about_runners) {
  EXPECT_EQ(command_of<RunnerAddCommand>({"runner", "add", "python"}).directory, "python");
  const auto use = command_of<RunnerUseCommand>(
      {"runner", "use", "python@1.1", "--agent", "a", "--percent", "10"});
  EXPECT_EQ(use.runner, "python@1.1");
  EXPECT_EQ(use.agent, "a");
  EXPECT_EQ(use.percent, 10U);
  EXPECT_EQ(command_of<RunnerUseCommand>({"runner", "use", "p", "--agent", "a"}).percent, 100U);
  const auto swap = command_of<RunnerSwapCommand>({"runner", "swap", "7xk2", "python@1.1"});
  EXPECT_EQ(swap.session, "7xk2");
  EXPECT_EQ(swap.runner, "python@1.1");
  EXPECT_EQ(command_of<RunnerBackCommand>({"runner", "back", "--agent", "a"}).agent, "a");
  const auto run = command_of<RunCommand>({"run", "--env", "host", "--runner", "p", "--", "x"});
  EXPECT_EQ(run.runner, "p");
}

TEST(Args, the_other_commands) {
  EXPECT_TRUE(command_of<UpCommand>({"up", "--detach"}).detach);
  EXPECT_EQ(command_of<UpCommand>({"up", "--port", "0"}).port, 0);
  EXPECT_FALSE(command_of<UpCommand>({"up"}).port.has_value());
  EXPECT_EQ(command_of<UpCommand>({"up", "--pool", "0"}).pool, 0U);
  EXPECT_FALSE(command_of<UpCommand>({"up"}).pool.has_value());
  EXPECT_EQ(command_of<UpCommand>({"up"}).user, "tare");
  command_of<DownCommand>({"down"});
  EXPECT_TRUE(command_of<DoctorCommand>({"doctor", "--json"}).json);
  const auto build = command_of<EnvBuildCommand>(
      {"env", "build", "debian:bookworm", "--name", "py", "--rebuild"});
  EXPECT_EQ(build.source, "debian:bookworm");
  EXPECT_EQ(build.name, "py");
  EXPECT_TRUE(build.rebuild);
  command_of<EnvListCommand>({"env", "list"});
  EXPECT_EQ(command_of<EnvShowCommand>({"env", "show", "py"}).ref, "py");
  EXPECT_EQ(command_of<EnvVerifyCommand>({"env", "verify", "a", "b"}).refs, (Words{"a", "b"}));
  EXPECT_TRUE(command_of<EnvVerifyCommand>({"env", "verify"}).refs.empty());
  EXPECT_TRUE(command_of<EnvVerifyCommand>({"env", "verify", "a", "--secrets"}).secrets);
  EXPECT_EQ(command_of<EnvDiffCommand>({"env", "diff", "a", "b"}).from, "a");
  EXPECT_EQ(command_of<EnvDiffCommand>({"env", "diff", "a", "b"}).to, "b");
  EXPECT_TRUE(command_of<EnvTreeCommand>({"env", "tree", "--json"}).json);
  EXPECT_TRUE(command_of<EnvGcCommand>({"env", "gc", "--dry-run"}).dry_run);
  EXPECT_EQ(command_of<EnvTagCommand>({"env", "tag", "a", "b"}).ref, "a");
  EXPECT_EQ(command_of<EnvTagCommand>({"env", "tag", "a", "b"}).name, "b");
  EXPECT_EQ(command_of<EnvRemoveCommand>({"env", "rm", "a", "b"}).names, (Words{"a", "b"}));
  EXPECT_EQ(command_of<AgentApplyCommand>({"agent", "apply", "dir"}).directory, "dir");
  command_of<AgentListCommand>({"agent", "list"});
  EXPECT_EQ(command_of<AgentShowCommand>({"agent", "show", "x@3"}).version, 3u);
  EXPECT_TRUE(command_of<PsCommand>({"ps", "-a"}).all);
  EXPECT_EQ(command_of<PsCommand>({"ps", "-n", "3", "--agent", "x"}).limit, 3u);
  EXPECT_TRUE(command_of<LogsCommand>({"logs", "-f", "run_1"}).follow);
  EXPECT_EQ(command_of<InspectCommand>({"inspect", "x"}).id, "x");
  EXPECT_EQ(command_of<ArtifactsCommand>({"artifacts", "x", "--out", "d"}).out, "d");
  EXPECT_EQ(command_of<KillCommand>({"kill", "a", "b"}).ids, (Words{"a", "b"}));
  EXPECT_EQ(command_of<RemoveCommand>({"rm", "a"}).ids, Words{"a"});
  command_of<VersionCommand>({"version"});
}

TEST(Args, a_value_is_read_from_a_file_by_either_spelling) {
  for (const char* option : {"--file", "--from-file"}) {
    EXPECT_EQ(command_of<SecretSetCommand>({"secret", "set", "s", option, "f"}).file, "f");
    EXPECT_EQ(command_of<CanaryAddCommand>({"canary", "add", "c", option, "f"}).file, "f");
  }
}

TEST(Args, the_name_of_a_command_may_be_the_name_of_an_agent) {
  EXPECT_EQ(command_of<RunCommand>({"run", "ps"}).agent, "ps");
  EXPECT_EQ(command_of<AgentShowCommand>({"agent", "show", "run"}).name, "run");
  EXPECT_EQ(command_of<KillCommand>({"kill", "up", "down"}).ids, (Words{"up", "down"}));
}

TEST(Args, help_is_a_command_and_an_option) {
  for (const Words& words : {Words{}, Words{"help"}, Words{"--help"}, Words{"-h"}}) {
    EXPECT_THAT(command_of<HelpCommand>(words).text, testing::HasSubstr("First steps:"));
  }
  for (const Words& words :
       {Words{"help", "run"}, Words{"run", "--help"}, Words{"run", "x", "-h"}}) {
    const auto text = command_of<HelpCommand>(words).text;
    EXPECT_THAT(text, testing::HasSubstr("--timeout"));
    EXPECT_THAT(text, testing::HasSubstr("Example:"));
  }
  const std::string build = command_of<HelpCommand>({"help", "env", "build"}).text;
  EXPECT_THAT(build, testing::HasSubstr("SOURCE"));
  EXPECT_EQ(build, command_of<HelpCommand>({"env", "build", "--help"}).text);
}

TEST(Args, each_command_shows_an_example_in_its_help) {
  for (const Words& words : {Words{"up"},
                             Words{"down"},
                             Words{"doctor"},
                             Words{"run"},
                             Words{"ps"},
                             Words{"logs"},
                             Words{"inspect"},
                             Words{"artifacts"},
                             Words{"kill"},
                             Words{"rm"},
                             Words{"version"},
                             Words{"help"},
                             Words{"env", "build"},
                             Words{"env", "list"},
                             Words{"env", "show"},
                             Words{"env", "verify"},
                             Words{"env", "tag"},
                             Words{"env", "tree"},
                             Words{"env", "gc"},
                             Words{"env", "diff"},
                             Words{"env", "rm"},
                             Words{"agent", "apply"},
                             Words{"agent", "list"},
                             Words{"agent", "show"}}) {
    Words help = words;
    help.insert(help.begin(), "help");
    EXPECT_THAT(command_of<HelpCommand>(help).text,
                testing::HasSubstr("Example:\n  tare " + words.front()));
  }
}

void expect_refused(std::span<const std::pair<Words, std::string_view>> table) {
  for (const auto& [words, message] : table) {
    const auto invocation = parse(words);
    const auto line = fmt::format("{}", fmt::join(words, " "));
    ASSERT_FALSE(invocation.ok()) << line;
    EXPECT_EQ(invocation.error().code, Errc::invalid) << line;
    EXPECT_THAT(invocation.error().message, testing::HasSubstr(std::string(message))) << line;
  }
}

TEST(Args, a_wrong_command_line_is_refused_with_the_fix) {
  const std::pair<Words, std::string_view> table[] = {
      {{"run"}, "AGENT, or --env"},
      {{"run", "--env", "host"}, "needs a command after `--`"},
      {{"run", "--env", "host", "true"},
       "put `--` before the command: tare run --env host -- true"},
      {{"run", "--env", "", "--", "true"}, "--env"},
      {{"run", "--env", "host", "--"}, "needs a command"},
      {{"run", "a", "--mem", "64MB"}, "--mem"},
      {{"run", "a", "--mem", "lots"}, "--mem"},
      {{"run", "a", "--mem", "-1"}, "--mem"},
      {{"run", "a", "--cpus", "half"}, "--cpus"},
      {{"run", "a", "--timeout", "10"}, "--timeout"},
      {{"run", "a", "--pids", "many"}, "--pids"},
      {{"run", "a", "--pids", "-3"}, "--pids"},
      {{"run", "a", "--pids", "99999999999"}, "--pids"},
      {{"run", "a", "--mem"}, "--mem"},
      {{"run", "a", "--mem", "1M", "--mem", "2M"}, "--mem"},
      {{"run", "a@0"}, "version"},
      {{"run", "a@"}, "version"},
      {{"run", "a@1x"}, "version"},
      {{"run", "a", "-e", "NOVALUE"}, "NAME=VALUE"},
      {{"run", "a", "-e", "=x"}, "NAME=VALUE"},
      {{"run", "a", "--input", "name="}, "--input"},
      {{"run", "a", "--input", "=file"}, "--input"},
      {{"run", "a", "--user", "root"}, "set by the agent"},
      {{"run", "--env", "host", "--user", "daemon", "--", "true"}, "--user"},
      {{"run", "--env", "host", "--profile", "none", "--", "true"}, "--profile"},
      {{"run", "a", "-i", "--detach"}, "--detach"},
      {{"run", "a", "--out", "d", "--detach"}, "tare artifacts"},
      {{"run", "a", "--dry-run", "--detach"}, "--dry-run"},
      {{"run", "a", "--frobnicate"}, "frobnicate"},
      {{"ps", "--", "x"}, "`tare run`"},
      {{"ps", "-n", "0"}, "--limit"},
      {{"up", "--port", "70000"}, "0 to 65535"},
      {{"up", "--pool", "2001"}, "--pool"},
      {{"logs"}, "ID"},
      {{"kill"}, "ID"},
      {{"env"}, "`tare help env`"},
      {{"env", "build"}, "SOURCE"},
      {{"env", "build", "debian:bookworm", "--mem", "1G"}, "limits are for --from ENV"},
      {{"env", "build", "--from", "b", "--name", "n", "--user", "root", "--", "id"}, "--user"},
      {{"env", "build", "--from", "b", "--name", "n", "--profile", "build", "--", "id"},
       "--profile"},
      {{"agent", "apply"}, "DIR"},
      {{"help", "nonsense"}, "nonsense"},
  };
  expect_refused(table);
}

TEST(Args, a_word_or_a_limit_that_cannot_be_is_refused_with_what_to_write) {
  const std::pair<Words, std::string_view> table[] = {
      {{"nonsense"}, "there is no command \"nonsense\""},
      {{"session", "nonsense"}, "there is no command \"session nonsense\""},
      {{"session"}, "`tare help session`"},
      {{"session", "exec", "s", "ls", "f"}, "tare session exec s -- ls ..."},
      {{"session", "ls", "s", "/"}, "ls s:/"},
      {{"session", "rm", "s", "f"}, "rm s:f"},
      {{"session", "mv", "s", "a", "b"}, "mv s:a b"},
      {{"session", "--bogus"}, "there is no option \"--bogus\""},
      {{"session", "ls", "s:/", "b"}, "b"},
      {{"run", "--env", "host", "ls", "-l"}, "tare run --env host -- ls ..."},
      {{"run", "a", "--mem", "3"}, "--mem: at least 8M, at most 1T"},
      {{"run", "a", "--disk", "9T"}, "--disk: at least 1M, at most 4T"},
      {{"run", "a", "--cpus", "0"}, "--cpus: at least 0.01, at most 1024"},
      {{"run", "a", "--pids", "0"}, "--pids: at least 1, at most 32768"},
      {{"run", "a", "--inodes", "3"}, "--inodes: at least 64"},
      {{"run", "a", "--open-files", "3"}, "--open-files: at least 16"},
      {{"run", "a", "b"}, "put `--` before"},
      {{"run", "--env", "e", "ls", "f"}, "put `--` before"},
  };
  expect_refused(table);
}

TEST(Args, the_home_is_that_of_the_option_then_the_environment_then_the_default) {
  EXPECT_EQ(parse({"ps"})->target.home, "/var/lib/tare");
  EXPECT_EQ(parse({"ps"}, {.home = "/a/b/", .url = {}, .api_key = {}})->target.home, "/a/b");
  EXPECT_EQ(
      parse({"--home", "/c/../d", "ps"}, {.home = "/a", .url = {}, .api_key = {}})->target.home,
      "/d");
  EXPECT_EQ(parse({"ps", "--home", "/d"})->target.home, "/d");
  EXPECT_TRUE(parse({"--home", "relative", "ps"})->target.home.starts_with('/'));
}

TEST(Args, options_before_the_command_take_their_value_whatever_it_is_called) {
  for (const Words& words : {Words{"--home", "/run", "ps"}, Words{"--home=/run", "ps"},
                             Words{"--url", "http://127.0.0.1:2", "--home", "/run", "ps"},
                             Words{"ps", "--home", "/run"}}) {
    const auto invocation = parse(words);
    ASSERT_TRUE(invocation.ok()) << fmt::format("{}", fmt::join(words, " "));
    EXPECT_TRUE(std::holds_alternative<PsCommand>(invocation->command));
    EXPECT_EQ(invocation->target.home, "/run");
  }
  // A home that is named as a command.
  EXPECT_TRUE(
      std::holds_alternative<EnvListCommand>(parse({"--home", "run", "env", "list"})->command));
  EXPECT_FALSE(parse({"--home", "run"})->target.home.empty());
}

TEST(Args, a_home_on_the_command_line_is_stronger_than_a_url_in_the_environment) {
  const Environment environment{.home = "", .url = "http://127.0.0.1:1", .api_key = "k"};
  EXPECT_EQ(parse({"ps"}, environment)->target.url, "http://127.0.0.1:1");
  EXPECT_EQ(parse({"ps"}, environment)->target.api_key, "k");
  EXPECT_EQ(parse({"--home", "/a", "ps"}, environment)->target.url, "");
  EXPECT_EQ(parse({"--url", "http://127.0.0.1:2", "ps"}, environment)->target.url,
            "http://127.0.0.1:2");
}

}  // namespace
}  // namespace tare::cli
