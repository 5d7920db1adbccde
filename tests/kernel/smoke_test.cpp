#include <gtest/gtest.h>

#include "support/launcher.h"

namespace tare::testing {
namespace {

TEST(Sandbox, a_program_runs_and_its_output_and_status_come_back) {
  TestLauncher launcher;
  const RunResult result = launcher.run(shell_spec("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.ended.outcome.reason, model::EndReason::exited) << result.ended.outcome.message;
  EXPECT_EQ(result.ended.outcome.exit_code, 7);
}

}  // namespace
}  // namespace tare::testing
