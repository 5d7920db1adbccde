#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/args.h"

namespace tare::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
T parsed(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "session");
  const auto invocation = parse_args(arguments,
                                     {.home = "/h", .url = "", .api_key = "", .term = "vt"});
  EXPECT_TRUE(invocation.ok()) << (invocation ? "" : invocation.error().message);
  if (!invocation || !std::holds_alternative<T>(invocation->command)) {
    ADD_FAILURE() << "another command";
    return {};
  }
  return std::get<T>(invocation->command);
}

std::string refused(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "session");
  const auto invocation = parse_args(arguments, {.home = "/h", .url = "", .api_key = ""});
  EXPECT_FALSE(invocation.ok());
  return invocation ? "" : invocation.error().message;
}

TEST(SessionArgs, a_time_that_cannot_be_is_refused_by_the_option_and_in_its_units) {
  EXPECT_EQ(refused({"new", "--idle", "10ms"}), "--idle: \"10ms\" is too short: at least 1s");
  EXPECT_EQ(refused({"new", "--idle", "31d"}), "--idle: \"31d\" is too long: at most 30d");
  EXPECT_EQ(refused({"new", "--timeout", "31d"}), "--timeout: \"31d\" is too long: at most 30d");
  EXPECT_EQ(parsed<SessionNewCommand>({"new", "--idle", "1s"}).idle_ms, 1000U);
  EXPECT_EQ(refused({"new", "--checkpoint", "10ms"}),
            "--checkpoint: \"10ms\" is too short: at least 1s");
  EXPECT_EQ(refused({"new", "--checkpoint", "2h", "--timeout", "1h"}),
            "--checkpoint is no less than --timeout: its life is over before the first one");
  const auto kept = parsed<SessionNewCommand>({"new", "--checkpoint", "1m", "--durable"});
  EXPECT_EQ(kept.checkpoint_ms, 60'000U);
  EXPECT_TRUE(kept.durable);
  EXPECT_FALSE(parsed<SessionNewCommand>({"new"}).durable);
}

TEST(SessionArgs, new_is_a_session_of_the_host_unless_told_otherwise) {
  EXPECT_EQ(parsed<SessionNewCommand>({"new"}).environment, "host");
  const auto full = parsed<SessionNewCommand>(
      {"new", "--env", "py", "--mem", "1G", "-e", "A=b", "--profile", "strict"});
  EXPECT_EQ(full.environment, "py");
  EXPECT_EQ(full.limits.memory_bytes, std::uint64_t{1} << 30);
  EXPECT_THAT(full.env, ElementsAre("A=b"));
  EXPECT_EQ(full.profile, "strict");
  EXPECT_EQ(parsed<SessionNewCommand>({"new", "agent@3"}).version, 3U);
  EXPECT_THAT(refused({"new", "agent", "--env", "py"}), HasSubstr("not both"));
  EXPECT_THAT(refused({"new", "agent", "--user", "root"}), HasSubstr("--user"));
  parsed<ProfilesCommand>({"new", "--profile"});  // alone, it explains them
}

TEST(SessionArgs, exec_takes_what_is_behind_the_dashes_as_it_is) {
  const auto exec = parsed<ExecCommand>({"exec", "-it", "--cwd", "/tmp", "s", "--", "ls", "-t"});
  EXPECT_THAT(exec.argv, ElementsAre("ls", "-t"));
  EXPECT_TRUE(exec.with_stdin && exec.terminal);
  EXPECT_EQ(exec.session, "s");
  EXPECT_EQ(exec.cwd, "/tmp");
  EXPECT_EQ(exec.term, "vt");
  EXPECT_THAT(refused({"exec", "s"}), HasSubstr("`--`"));
  EXPECT_THAT(refused({"exec", "s", "--json", "--", "ls"}), HasSubstr("--detach"));
  EXPECT_THAT(refused({"list", "--", "ls"}), HasSubstr("session exec"));
}

TEST(SessionArgs, shell_asks_for_a_terminal_and_attach_for_a_number) {
  EXPECT_TRUE(parsed<ExecCommand>({"shell", "s"}).terminal);
  EXPECT_EQ(parsed<AttachCommand>({"attach", "s", "7"}).number, 7U);
  for (const char* number : {"0", "x", "7x", "-1", "99999999999"})
    EXPECT_FALSE(refused({"attach", "s", "--", number}).empty()) << number;
}

TEST(SessionArgs, cp_has_one_side_inside) {
  const auto in = parsed<CopyCommand>({"cp", "data.csv", "s:in/data.csv"});
  EXPECT_FALSE(in.fetch);
  EXPECT_EQ(in.session, "s");
  EXPECT_EQ(in.to, "in/data.csv");
  const auto out = parsed<CopyCommand>({"cp", "s:/output", "./a:b"});
  EXPECT_TRUE(out.fetch);
  EXPECT_EQ(out.from, "/output");
  EXPECT_EQ(out.to, "./a:b");
  EXPECT_EQ(parsed<CopyCommand>({"cp", "-", "s:x"}).from, "-");
  EXPECT_EQ(parsed<CopyCommand>({"cp", "x", "s:"}).to, "/home/agent");
  EXPECT_THAT(refused({"cp", "a", "b"}), HasSubstr("exactly one"));
  EXPECT_THAT(refused({"cp", "s:a", "t:b"}), HasSubstr("exactly one"));
}

TEST(SessionArgs, ls_rm_and_mv_name_a_path_in_a_session) {
  EXPECT_EQ(parsed<FileListCommand>({"ls", "s"}).path, "/home/agent");
  EXPECT_EQ(parsed<FileListCommand>({"ls", "s:/tmp"}).path, "/tmp");
  EXPECT_TRUE(parsed<FileRemoveCommand>({"rm", "-r", "s:x"}).recursive);
  EXPECT_THAT(refused({"rm", "x"}), HasSubstr("SESSION:PATH"));
  EXPECT_EQ(parsed<FileMoveCommand>({"mv", "s:a", "b"}).to, "b");
  EXPECT_EQ(parsed<FileMoveCommand>({"mv", "s:a", "s:b"}).to, "b");
  EXPECT_THAT(refused({"mv", "s:a", "t:b"}), HasSubstr("one session"));
}

}  // namespace
}  // namespace tare::cli
