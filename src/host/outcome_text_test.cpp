#include "host/outcome_text.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "host/debian_build.h"
#include "host/run_driver.h"
#include "model/validate.h"

namespace tare::host {
namespace {

using model::EndReason;

model::RunRequest a_request() {
  model::RunRequest request;
  request.argv = {"no such\nthing"};
  request.limits.memory_bytes = 64 << 20;
  request.limits.time_ms = 10'000;
  request.limits.output_bytes = 1000;
  return request;
}

TEST(OutcomeText, names_the_limit_and_its_value) {
  struct Row {
    model::Outcome outcome;
    std::string text;
  };
  const Row rows[] = {
      {{EndReason::exited, 0, 0, ""}, ""},
      {{EndReason::exited, 3, 0, ""}, "exited with status 3"},
      {{EndReason::signalled, 0, 11, ""}, "ended by signal 11 (SIGSEGV)"},
      {{EndReason::signalled, 0, 40, ""}, "ended by signal 40"},
      {{EndReason::timeout, 0, 9, ""}, "timed out after 10 s (limit time)"},
      {{EndReason::killed, 0, 9, ""}, "killed on request"},
      {{EndReason::memory_limit, 0, 9, ""}, "memory limit of 64 MiB reached"},
      {{EndReason::output_limit, 0, 9, ""}, "output limit of 1000 bytes reached"},
      {{EndReason::not_found, 0, 0, "x"}, "program not found: \"no such\\nthing\""},
      {{EndReason::not_executable, 0, 0, "execve: Permission denied"},
       "cannot execute \"no such\\nthing\": execve: Permission denied"},
      {{EndReason::setup_failed, 0, 0, "layer: No such file"}, "layer: No such file"},
      {{EndReason::launcher_lost, 0, 0, ""}, "tare-launcher ended; its sandboxes ended with it"},
      {{EndReason::daemon_error, 0, 0, "disk full"}, "disk full"},
  };
  for (const Row& row : rows) EXPECT_EQ(outcome_text(row.outcome, a_request(), {}, 0), row.text);
}

TEST(OutcomeText, names_the_limits_that_were_met_and_ended_nothing) {
  model::Limits limits;
  limits.pids = 24;
  limits.disk_bytes = 8 << 20;
  limits.disk_inodes = 512;
  model::Usage usage;
  EXPECT_EQ(limits_text(usage, limits), "");
  usage.processes_refused = 1;
  EXPECT_EQ(limits_text(usage, limits), "1 fork refused (limit pids 24)");
  usage.processes_refused = 311;
  usage.disk_full = usage.inodes_full = true;
  EXPECT_EQ(limits_text(usage, limits),
            "311 forks refused (limit pids 24), disk full (limit disk 8 MiB), no further file "
            "(limit disk_inodes 512)");
}

TEST(OutcomeText, names_the_step_that_failed) {
  const std::vector<sandbox::Step> steps = {{sandbox::Op::loopback, "", "", 0, 0},
                                            {sandbox::Op::proc, "/proc", "", 0, 0}};
  const model::Outcome outcome{EndReason::setup_failed, 0, 0, "Operation not permitted"};
  EXPECT_EQ(outcome_text(outcome, a_request(), steps, 2),
            "step 2 (" + std::string(sandbox::op_name(sandbox::Op::proc)) +
                " /proc): Operation not permitted");
  EXPECT_EQ(outcome_text(outcome, a_request(), steps, 7),
            outcome.message);  // not a step of this plan
}

TEST(OutcomeText, a_working_folder_that_is_not_there_is_no_failure_of_the_sandbox) {
  const std::vector<sandbox::Step> steps = {{sandbox::Op::loopback, "", "", 0, 0},
                                            {sandbox::Op::working_dir, "/nope", "", 0, 0}};
  const model::Outcome failed{EndReason::setup_failed, 0, 0, "No such file or directory"};
  const auto outcome = as_of_caller(failed, steps, 2);
  EXPECT_EQ(outcome.reason, EndReason::not_executable);
  EXPECT_EQ(outcome_text(outcome, a_request(), steps, 2),
            "cannot execute " + quote(a_request().argv.front()) +
                ": working folder /nope: No such file or directory");
  for (const std::uint32_t step : {0U, 1U, 3U})
    EXPECT_EQ(as_of_caller(failed, steps, step).reason, EndReason::setup_failed);
  const model::Outcome killed{EndReason::killed, 0, 9, ""};
  EXPECT_EQ(as_of_caller(killed, steps, 2).reason, EndReason::killed);
}

TEST(OutcomeText, sizes_and_times_are_exact) {
  EXPECT_EQ(size_text(1536), "1536 bytes");
  EXPECT_EQ(size_text(2048), "2 KiB");
  EXPECT_EQ(size_text(std::uint64_t{3} << 30), "3 GiB");
  EXPECT_EQ(time_text(999), "999 ms");
  EXPECT_EQ(time_text(1500), "1.500 s");
  EXPECT_EQ(time_text(60'000), "1 min");
  EXPECT_EQ(time_text(90'000), "1 min 30 s");
}

// What ends before it was launched must be an end that a queued run can have.
TEST(EndedEarly, a_queued_run_can_take_every_such_end) {
  model::Run run;
  for (const Errc code : {Errc::invalid, Errc::not_found, Errc::exhausted, Errc::internal,
                          Errc::unavailable, Errc::cancelled, Errc::denied}) {
    const auto ended = model::advance(run, ended_early(Error{code, "why"}, 5));
    ASSERT_TRUE(ended.ok()) << to_string(code);
    EXPECT_EQ(ended->state,
              code == Errc::cancelled ? model::RunState::cancelled : model::RunState::failed);
  }
}

TEST(DebianBuild, is_a_valid_run_and_passes_packages_as_one_argument) {
  const auto source = model::parse_environment_source("debian:bookworm:python3,g++").value();
  const auto request = debian_build(source).value();
  EXPECT_TRUE(model::validate(request).ok());
  EXPECT_EQ(request.argv.at(4), "bookworm");
  EXPECT_EQ(request.argv.at(5), "g++,python3");
  EXPECT_EQ(request.user, "root");
}

TEST(OutcomeText, a_session_was_ended_rather_than_killed) {
  model::RunRequest request;
  request.session = true;
  request.limits.time_ms = 3'600'000;
  EXPECT_EQ(outcome_text({model::EndReason::killed, 0, 9, ""}, request, {}, 0),
            "the session was ended on request");
  EXPECT_EQ(outcome_text({model::EndReason::timeout, 0, 9, ""}, request, {}, 0),
            "the session ended after 60 min (limit time)");
}

}  // namespace
}  // namespace tare::host
