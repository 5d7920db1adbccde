// tare run from its value to what it prints and exits with, against a real HTTP server.
#include "cli/commands.h"

#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include <fmt/format.h>

#include "base/hash.h"
#include "cli/exit_status.h"
#include "cli/fake_tared.h"
#include "cli/foreground.h"
#include "cli/render.h"
#include "fiber/event.h"
#include "fiber/timer.h"

namespace tare::cli {
namespace {

namespace fs = std::filesystem;
using http::Exchange;
using http::Method;
using model::FrameType;

// POST /v1/runs answers with a run that writes and ends as told.
struct FakeRun {
  std::string frames = {};  // before the end frame
  model::Run ends_as = ended_run(0);
  int lose_answers = 0;  // so many requests are taken, but the connection is dropped
  bool wait_for_kill = false;
  bool wait_for_stdin = false;

  // What came.
  std::vector<std::string> requests = {};  // bodies of POST /v1/runs
  int kills = 0;
  std::string stdin_bytes = {};
  bool fed = false;
  std::map<std::string, std::string> blobs = {};
  fiber::Event changed = {};

  std::vector<http::Route> routes() {
    return {
        {.method = Method::post,
         .path = "/v1/runs",
         .handler = [this](Exchange& ex) { return create(ex); },
         .max_body_bytes = 1 << 20},
        {.method = Method::get,
         .path = "/v1/runs/{id}/logs",
         .handler = [this](Exchange& ex) { return logs(ex); }},
        {.method = Method::post,
         .path = "/v1/runs/{id}/kill",
         .handler =
             [this](Exchange& ex) {
               ++kills;
               changed.notify_all();
               return reply_json(ex, 202, model::to_json(run_in_state(model::RunState::running)));
             }},
        {.method = Method::post,
         .path = "/v1/runs/{id}/stdin",
         .handler = [this](Exchange& ex) { return take_stdin(ex); },
         .max_body_bytes = 1 << 20},
        {.method = Method::get,
         .path = "/v1/blobs/{digest}",
         .handler =
             [this](Exchange& ex) {
               return ex.reply({.status = blobs.contains(ex.parameter("digest")) ? 200 : 404});
             }},
        {.method = Method::post,
         .path = "/v1/blobs",
         .handler = [this](Exchange& ex) -> Result<> {
           const std::string body = TRY(ex.read_all());
           blobs[sha256_text(body)] = body;
           return reply_json(ex, 201,
                             JsonObject{{"digest", sha256_text(body)}, {"size", body.size()}});
         },
         .max_body_bytes = 1 << 20},
    };
  }

  Result<> create(Exchange& ex) {
    requests.push_back(TRY(ex.read_all()));
    if (lose_answers-- > 0) {
      TRY(ex.start(202, {}, 1000));
      return Error{Errc::internal, "the test loses the answer"};
    }
    return reply_json(ex, 202, model::to_json(run_in_state(model::RunState::queued)));
  }

  Result<> logs(Exchange& ex) {
    TRY(ex.start(200, {}, std::nullopt));
    TRY(ex.write(frames));
    const auto ready = [this] { return (!wait_for_kill || kills > 0) && (!wait_for_stdin || fed); };
    TRY(changed.wait_until(ready, ex.context()));
    return ex.write(end_frame(ends_as));
  }

  Result<> take_stdin(Exchange& ex) {
    stdin_bytes = TRY(ex.read_all());
    fed = true;
    changed.notify_all();
    return reply_json(ex, 200, JsonObject{{"bytes", stdin_bytes.size()}});
  }
};

RunCommand command(std::vector<std::string> argv = {"true"}) {
  RunCommand run;
  run.environment = "host";
  run.argv = std::move(argv);
  return run;
}

model::Run ended_as(model::RunState state, model::Outcome outcome) {
  model::Run run = ended_run(1);
  run.state = state;
  run.outcome = std::move(outcome);
  return run;
}

TEST(RunCommand, output_goes_to_its_stream_and_the_status_is_the_programs) {
  FakeRun run{.frames = model::encode_frame(FrameType::out, std::string("a\0b", 3)) +
                        model::encode_frame(FrameType::err, "warning"),
              .ends_as = ended_run(3)};
  FakeTared fake(run.routes());
  EXPECT_EQ(status_of(fake, command()), 3);
  EXPECT_EQ(fake.out(), std::string("a\0b", 3));
  EXPECT_EQ(fake.err(), "warning");
}

TEST(RunCommand, an_end_that_is_not_a_plain_exit_is_said_in_one_line) {
  using model::EndReason;
  const std::tuple<model::Outcome, int> table[] = {
      {{EndReason::timeout, 0, 9, "timed out after 10 s (limit time)"}, 124},
      {{EndReason::killed, 0, 9, "killed"}, 137},
      {{EndReason::memory_limit, 0, 9, "out of memory"}, 137},
      {{EndReason::signalled, 0, 11, "signal 11"}, 139},
      {{EndReason::not_found, 0, 0, "no such program"}, 127},
      {{EndReason::not_executable, 0, 0, "not executable"}, 126},
      {{EndReason::setup_failed, 0, 0, "step 3"}, 125},
      {{EndReason::launcher_lost, 0, 0, ""}, 125},
  };
  for (const auto& [outcome, status] : table) {
    FakeRun run{.ends_as = ended_as(model::RunState::failed, outcome)};
    FakeTared fake(run.routes());
    EXPECT_EQ(status_of(fake, command()), status) << outcome.message;
    const std::string reason = outcome.message.empty() ? "launcher_lost" : outcome.message;
    EXPECT_EQ(fake.err(), fmt::format("tare: {}: {}\n", kTestRunId, reason));
  }
}

TEST(RunCommand, only_what_was_asked_for_is_sent) {
  FakeRun run;
  FakeTared fake(run.routes());
  auto value = command({"sh", "-c", "x"});
  value.limits.memory_bytes = 1024;
  value.env = {"A=1"};
  value.user = "root";
  value.idempotency_key = "k";
  EXPECT_EQ(status_of(fake, value), 0);
  ASSERT_EQ(run.requests.size(), 1u);
  EXPECT_EQ(run.requests[0],
            R"({"environment":"host","argv":["sh","-c","x"],"env":["A=1"],"user":"root",)"
            R"("limits":{"memory_bytes":1024},"attach":true,"idempotency_key":"k"})");
}

TEST(RunCommand, a_lost_answer_is_asked_for_again_with_the_same_key) {
  FakeRun run{.lose_answers = 2};
  FakeTared fake(run.routes());
  EXPECT_EQ(status_of(fake, command()), 0);
  ASSERT_EQ(run.requests.size(), 3u);
  EXPECT_EQ(run.requests[0], run.requests[1]);
  EXPECT_EQ(run.requests[0], run.requests[2]);
  EXPECT_FALSE(text_at(parse_json(run.requests[0]).value(), {"idempotency_key"}).empty());
}

TEST(RunCommand, two_runs_have_two_keys) {
  FakeRun run;
  FakeTared fake(run.routes());
  fake.run([&](App& app, const fiber::Context& ctx) {
    EXPECT_TRUE(run_command(command(), app, ctx).ok());
    EXPECT_TRUE(run_command(command(), app, ctx).ok());
  });
  ASSERT_EQ(run.requests.size(), 2u);
  EXPECT_NE(run.requests[0], run.requests[1]);
}

TEST(RunCommand, detached_it_prints_the_id_and_does_not_wait) {
  FakeRun run{.wait_for_kill = true};
  FakeTared fake(run.routes());
  auto value = command();
  value.detach = true;
  EXPECT_EQ(status_of(fake, value), 0);
  EXPECT_EQ(fake.out(), fmt::format("{}\n", kTestRunId));
  EXPECT_EQ(run.requests[0].find("attach"), std::string::npos);
}

TEST(RunCommand, json_is_one_object_with_the_output_in_it) {
  FakeRun run{.frames = model::encode_frame(FrameType::out, "out") +
                        model::encode_frame(FrameType::err, "\xff"),
              .ends_as = ended_run(2)};
  FakeTared fake(run.routes());
  auto value = command();
  value.json = true;
  EXPECT_EQ(status_of(fake, value), 2);
  const Json printed = parse_json(fake.out()).value();
  EXPECT_EQ(text_at(printed, {"run", "id"}), kTestRunId);
  EXPECT_EQ(number_at(printed, {"exit_status"}), 2u);
  EXPECT_EQ(text_at(printed, {"stdout"}), "out");
  EXPECT_EQ(text_at(printed, {"stderr_encoding"}), "base64");
  EXPECT_EQ(fake.err(), "");
}

TEST(RunCommand, a_reader_that_has_gone_ends_the_run) {
  FakeRun run{.frames = model::encode_frame(FrameType::out, "text"), .wait_for_kill = true};
  FakeTared fake(run.routes());
  auto pipe = sys::make_pipe().value();
  pipe.read.reset();
  fake.set_stdout(pipe.write.get());
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(status_of(fake, command()), kExitBrokenPipe);
  ::signal(SIGPIPE, before);
  EXPECT_EQ(run.kills, 1);
}

TEST(RunCommand, an_interrupt_kills_the_run_and_is_the_status) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    FakeRun run{
        .ends_as = ended_as(model::RunState::cancelled, {model::EndReason::killed, 0, 9, "killed"}),
        .wait_for_kill = true};
    FakeTared fake(run.routes());
    int status = -1;
    fake.run([&](App& app, const fiber::Context& ctx) {
      fiber::TaskGroup other(ctx);
      other.spawn([&](const fiber::Context& task) {
        while (run.requests.empty() && fiber::sleep_for(std::chrono::milliseconds(1), task)) {
        }
        ::kill(::getpid(), number);
      });
      status = run_command(command(), app, ctx).value();
    });
    EXPECT_EQ(status, 128 + number);
    EXPECT_EQ(run.kills, 1);
    EXPECT_THAT(fake.err(), testing::HasSubstr("killing"));
  }
}

TEST(RunCommand, inputs_are_uploaded_once_and_named) {
  FakeRun run;
  FakeTared fake(run.routes());
  fs::create_directories(fake.home() + "/data/deep");
  std::ofstream(fake.home() + "/data/a.csv") << "aaa";
  std::ofstream(fake.home() + "/data/deep/b.csv") << "bbb";
  auto value = command();
  value.inputs = {{"", fake.home() + "/data/a.csv"},
                  {"x/y.csv", fake.home() + "/data/a.csv"},
                  {"", fake.home() + "/data/"}};
  EXPECT_EQ(status_of(fake, value), 0);
  EXPECT_EQ(run.blobs.size(), 2u);
  const Json request = parse_json(run.requests.at(0)).value();
  std::map<std::string, std::string> names;
  for (const Json& input : array_at(request, "inputs")) {
    names[text_at(input, {"name"})] = run.blobs[text_at(input, {"digest"})];
  }
  const std::map<std::string, std::string> expected{
      {"a.csv", "aaa"}, {"x/y.csv", "aaa"}, {"data/a.csv", "aaa"}, {"data/deep/b.csv", "bbb"}};
  EXPECT_EQ(names, expected);
}

TEST(RunCommand, inputs_that_cannot_be_are_refused_before_a_run_is_made) {
  FakeRun run;
  FakeTared fake(run.routes());
  const std::string home = fake.home();
  std::ofstream(home + "/f") << "x";
  fs::create_directory(home + "/d");
  fs::create_symlink("/etc/passwd", home + "/d/link");
  ASSERT_EQ(::mkfifo((home + "/fifo").c_str(), 0600), 0);
  const std::pair<std::vector<InputOption>, int> table[] = {
      {{{"", home + "/missing"}}, kExitNotFound},
      {{{"", home + "/d"}}, kExitUsage},
      {{{"", home + "/fifo"}}, kExitUsage},
      {{{"", "/dev/null"}}, kExitUsage},
      {{{"", home + "/f"}, {"f", home + "/f"}}, kExitUsage}};
  for (const auto& [inputs, status] : table) {
    auto value = command();
    value.inputs = inputs;
    EXPECT_EQ(status_of(fake, value), status) << inputs[0].path;
  }
  EXPECT_TRUE(run.requests.empty());
}

// Puts a descriptor in place of stdin.
class StdinFrom {
 public:
  explicit StdinFrom(int fd) : saved_(::dup(0)) { ::dup2(fd, 0); }
  ~StdinFrom() {
    ::dup2(saved_, 0);
    ::close(saved_);
  }

 private:
  int saved_;
};

TEST(RunCommand, stdin_is_fed_from_a_pipe_and_from_a_file) {
  const std::string sent(100'000, 'i');
  for (const bool from_pipe : {true, false}) {
    FakeRun run{.wait_for_stdin = true};
    FakeTared fake(run.routes());
    std::ofstream(fake.home() + "/in") << sent;
    auto file = sys::open_at(sys::kCwd, fake.home() + "/in", O_RDONLY).value();
    auto pipe = sys::make_pipe().value();
    const std::string_view first = std::string_view(sent).substr(0, 30'000);
    ASSERT_TRUE(sys::write_all(pipe.write.get(), first).ok());
    pipe.write.reset();
    const StdinFrom in(from_pipe ? pipe.read.get() : file.get());
    auto value = command({"cat"});
    value.with_stdin = true;
    EXPECT_EQ(status_of(fake, value), 0);
    EXPECT_EQ(run.stdin_bytes, from_pipe ? first : sent);
    EXPECT_NE(run.requests[0].find(R"("stdin":true)"), std::string::npos);
  }
}

TEST(RunCommand, a_run_that_ends_does_not_wait_for_its_stdin) {
  FakeRun run;
  FakeTared fake(run.routes());
  auto pipe = sys::make_pipe().value();  // never written to, never closed
  const StdinFrom in(pipe.read.get());
  auto value = command({"true"});
  value.with_stdin = true;
  EXPECT_EQ(status_of(fake, value), 0);
}

TEST(RunCommand, a_dry_run_prints_the_plan_and_uploads_nothing) {
  std::string query;
  FakeTared fake({{.method = Method::post,
                   .path = "/v1/runs",
                   .handler = [&](Exchange& ex) -> Result<> {
                     query = ex.query().get("dry_run").value_or("");
                     TRY(ex.read_all());
                     return reply_json(ex, 200, JsonObject{{"plan", "1 mount\n2 exec\n"}});
                   },
                   .max_body_bytes = 10'000}});
  std::ofstream(fake.home() + "/f") << "x";
  auto value = command();
  value.dry_run = true;
  value.inputs = {{"", fake.home() + "/f"}};
  EXPECT_EQ(status_of(fake, value), 0);
  EXPECT_EQ(query, "true");
  EXPECT_EQ(fake.out(), "1 mount\n2 exec\n");
}

}  // namespace
}  // namespace tare::cli
