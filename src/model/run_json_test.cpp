#include "model/run_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace tare::model {
namespace {

using testing::HasSubstr;

constexpr std::string_view kId = "run_01aryz6s41tsv4rrffq69g5fav";
const std::string kDigest = "sha256:" + std::string(64, 'a');

model::Run an_ended_run() {
  model::Run run{.tenant = "default", .id = std::string(kId)};
  run.request = RunRequest{.agent = "analyst",
                           .version = 3,
                           .environment = "debian:bookworm:python3",
                           .environment_digest = kDigest,
                           .files_digest = kDigest,
                           .argv = {"python3", "a b", ""},
                           .env = {"MODE=full"},
                           .user = "root",
                           .profile = "strict",
                           .inputs = {{.name = "data/x.csv", .digest = kDigest, .size = 17}},
                           .limits = {.memory_bytes = 64 << 20, .time_ms = 1000},
                           .with_stdin = true,
                           .idempotency_key = "key"};
  run.state = RunState::failed;
  run.created_ms = 1'469'918'176'385;
  run.started_ms = run.created_ms + 1;
  run.ended_ms = run.created_ms + 2;
  run.attempt = 1;
  run.outcome = Outcome{.reason = EndReason::timeout, .signal = 9, .message = "timeout after 1s"};
  run.usage = Usage{.cpu_us = 5, .memory_peak_bytes = 6, .wall_us = 7};
  run.log_cut = true;
  return run;
}

Result<model::Run> again(const model::Run& run) {
  return run_from_json(parse_json(to_text(to_json(run))).value());
}

TEST(RunEventJson, a_refused_call_has_a_name_and_a_count_and_no_other_event_has) {
  RunEvent event;
  event.sequence = 4;
  event.type = RunEventType::denied;
  event.call = "ptrace";
  event.count = 3;
  EXPECT_EQ(run_event_from_json(to_json(event)).value(), event);
  Json without = to_json(event);
  without.as_object().erase("count");
  EXPECT_FALSE(run_event_from_json(without));
  Json other = to_json(event);
  other.as_object()["type"] = "started";
  EXPECT_FALSE(run_event_from_json(other));
}

TEST(RunEventJson, a_launching_names_its_launcher_and_is_read_without_one_too) {
  RunEvent event;
  event.sequence = 2;
  event.type = RunEventType::launching;
  event.launcher = "0123456789abcdef";
  const Json json = to_json(event);
  EXPECT_EQ(run_event_from_json(json).value(), event);
  event.launcher.clear();
  EXPECT_FALSE(to_json(event).as_object().contains("launcher"));
  EXPECT_EQ(run_event_from_json(to_json(event)).value(), event);
}

TEST(RunJson, a_run_comes_back_the_same) {
  const model::Run ended = an_ended_run();
  EXPECT_EQ(again(ended).value(), ended);
  model::Run queued{.tenant = "default", .id = std::string(kId)};
  queued.request.environment = "host";
  queued.request.argv = {"true"};
  queued.created_ms = 5;
  EXPECT_EQ(again(queued).value(), queued);
}

TEST(RunJson, a_run_looks_like_this) {
  const std::string text = to_text(to_json(an_ended_run()));
  EXPECT_THAT(text,
              testing::StartsWith(
                  R"({"tenant":"default","id":"run_01aryz6s41tsv4rrffq69g5fav","state":"failed")"));
  EXPECT_THAT(text, HasSubstr(R"("inputs":[{"name":"data/x.csv","digest":"sha256:aaaa)"));
  EXPECT_THAT(text,
              HasSubstr(R"("limits":{"memory_bytes":67108864,"cpu_millis":1000,"pids":256,)"));
  EXPECT_THAT(text, HasSubstr(R"("created_ms":1469918176385,"started_ms":1469918176386,)"));
  EXPECT_THAT(text, HasSubstr(R"("created_at":"2016-07-30T22:36:16.385Z")"));
  EXPECT_THAT(
      text,
      HasSubstr(R"("outcome":{"reason":"timeout","exit_code":0,"signal":9,"message":"timeout)"));
}

TEST(RunJson, what_has_not_happened_has_no_text_for_its_time) {
  model::Run run = an_ended_run();
  run.started_ms = 0;
  EXPECT_EQ(to_text(to_json(run)).find("started_at"), std::string::npos);
}

TEST(RunJson, events_come_back_the_same) {
  const RunEvent started{.sequence = 2, .at_ms = 7, .type = RunEventType::started, .message = "x"};
  EXPECT_EQ(run_event_from_json(to_json(started)).value(), started);
  EXPECT_EQ(
      to_text(to_json(started)),
      R"({"sequence":2,"at_ms":7,"at":"1970-01-01T00:00:00.007Z","type":"started","message":"x"})");
  RunEvent ended{.sequence = 3, .at_ms = 8, .type = RunEventType::ended};
  ended.outcome = Outcome{.reason = EndReason::exited, .exit_code = 3};
  ended.usage.cpu_us = 9;
  ended.log_cut = true;
  EXPECT_EQ(run_event_from_json(to_json(ended)).value(), ended);
}

TEST(RunJson, a_newer_peers_fields_are_passed_over) {
  Json json = to_json(an_ended_run());
  json.as_object()["colour"] = "red";
  json.as_object()["request"].as_object()["mood"] = 1;
  EXPECT_EQ(run_from_json(json).value(), an_ended_run());
  EXPECT_THAT(read_run(Node(json)).error().message,
              testing::StartsWith("colour: unknown key; allowed: tenant, id"));
}

TEST(RunJson, what_does_not_fit_is_refused_and_named) {
  struct Case {
    std::string_view pointer;
    Json value;
    std::string_view message;
  };
  const Case kCases[] = {
      {"/id", "x", "id: expected a run id, found \"x\""},
      {"/state", "done", "state: \"done\" is not a run state"},
      {"/state", "running", "an outcome belongs to a terminal state"},
      {"/attempt", -1, "attempt: expected an integer from 0 to 4294967295, found -1"},
      {"/created_ms", 1.5, "created_ms: expected an integer"},
      {"/created_ms", std::uint64_t{1} << 53,
       "created_ms: expected an integer from 0 to 9007199254740991"},
      {"/outcome/reason", "bored", "outcome.reason: \"bored\" is not a reason"},
      {"/outcome/exit_code", 256,
       "outcome.exit_code: expected an integer from 0 to 255, found 256"},
      {"/request/argv", JsonArray{}, "request.argv: must not be empty"},
      {"/request/argv/1", 5, "request.argv[1]: expected text, found 5"},
      {"/request/user", "daemon",
       "request.user: expected agent, root or UID:GID, found \"daemon\""},
      {"/request/environment_digest", "sha256:x", "request.environment_digest: expected a digest"},
      {"/request/limits/pids", 0,
       "request.limits.pids: expected an integer from 1 to 32768, found 0"},
      {"/request/inputs/0/digest", "", "request.inputs[0].digest: expected a digest"},
      {"/usage/cpu_us", "1", "usage.cpu_us: expected an integer"},
      {"/log_cut", nullptr, "log_cut: expected true or false, found null"},
  };
  for (const auto& [pointer, value, message] : kCases) {
    Json json = to_json(an_ended_run());
    json.at_pointer(pointer) = value;
    const auto run = run_from_json(json);
    ASSERT_FALSE(run.ok()) << pointer;
    EXPECT_THAT(run.error().message, testing::StartsWith(std::string(message)));
  }
}

TEST(RunJson, required_fields_are_required) {
  for (const std::string_view key : {"tenant", "id", "request", "state", "created_ms", "started_ms",
                                     "ended_ms", "attempt", "usage", "log_cut"}) {
    Json json = to_json(an_ended_run());
    json.as_object().erase(key);
    EXPECT_EQ(run_from_json(json).error().message, std::string(key) + ": required, but missing");
  }
}

TEST(LimitsJson, what_is_left_out_has_its_default_or_keeps_the_base) {
  const Json json = parse_json(R"({"pids":7})").value();
  EXPECT_EQ(read_limits(Node(json)).value(), (Limits{.pids = 7}));
  EXPECT_EQ(read_limits_over(Node(json), Limits{.time_ms = 9}).value(),
            (Limits{.pids = 7, .time_ms = 9}));
}

TEST(LimitsJson, each_limit_is_accepted_at_both_ends_of_its_range_and_not_beyond) {
  using B = LimitBounds;
  struct Case {
    std::string_view key;
    std::uint64_t min, max;
  };
  constexpr Case kCases[] = {
      {"memory_bytes", B::kMemoryMin, B::kMemoryMax},
      {"cpu_millis", B::kCpuMin, B::kCpuMax},
      {"pids", B::kPidsMin, B::kPidsMax},
      {"disk_bytes", B::kDiskMin, B::kDiskMax},
      {"disk_inodes", B::kInodesMin, B::kInodesMax},
      {"output_bytes", 0, B::kOutputMax},
      {"time_ms", 0, B::kTimeMaxMs},
      {"open_files", B::kOpenFilesMin, B::kOpenFilesMax},
  };
  for (const auto& [key, min, max] : kCases) {
    for (const std::uint64_t good : {min, max}) {
      const Json json = JsonObject{{key, good}};
      const auto limits = read_limits(Node(json));
      ASSERT_TRUE(limits.ok()) << key << good;
      EXPECT_EQ(to_json(*limits).at(key).to_number<std::uint64_t>(), good);
      EXPECT_TRUE(check_limits(*limits).ok());
    }
    const Json above = JsonObject{{key, max + 1}};
    EXPECT_FALSE(read_limits(Node(above)).ok()) << key;
    const Json below = JsonObject{{key, static_cast<std::int64_t>(min) - 1}};
    EXPECT_FALSE(read_limits(Node(below)).ok()) << key;
  }
  EXPECT_EQ(check_limits(Limits{.pids = 0}).error().message,
            "limits.pids: 0 is out of range: allowed are 1 to 32768");
}

// Any value put in any place of a run: it is refused, or what is read is written the same again.
TEST(RunJson, damaged_records_are_refused_or_stable) {
  const std::string good = to_text(to_json(an_ended_run()));
  SeededRandom random(61);
  int accepted = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string text = good;
    for (std::uint64_t n = 1 + random.below(2); n > 0; --n) {
      text[random.below(text.size())] = "0123456789\"{}[],:-etrue"[random.below(23)];
    }
    const auto json = parse_json(text);
    if (!json.ok()) continue;
    const auto run = run_from_json(*json);
    if (!run.ok()) continue;
    ++accepted;
    ASSERT_EQ(again(*run).value(), *run);
  }
  EXPECT_GT(accepted, 5);
}

}  // namespace
}  // namespace tare::model
