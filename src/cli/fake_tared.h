// For tests: a real HTTP server on the socket of a temporary home that answers as a test tells it
// to, and an App that talks to it, whose stdout and stderr are files. Everything but the answers is
// what runs in production.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/random.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "fiber/loop.h"
#include "fiber/socket.h"
#include "fiber/task_group.h"
#include "http/server.h"
#include "model/log_frames.h"
#include "model/run_json.h"
#include "sys/files.h"

namespace tare::cli {

inline constexpr std::string_view kTestRunId = "run_01hzzzzzzzzzzzzzzzzzzzzzzz";

inline Result<> reply_json(http::Exchange& ex, int status, const Json& body) {
  return ex.reply(
      {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = to_text(body)});
}

inline Result<> reply_error(http::Exchange& ex, int status, std::string_view code,
                            std::string_view message, std::string_view field = "") {
  JsonObject error{{"code", code}, {"message", message}};
  if (!field.empty()) error["field"] = field;
  return reply_json(ex, status, JsonObject{{"error", error}});
}

inline model::Run run_in_state(model::RunState state) {
  model::Run run;
  run.tenant = "default";
  run.id = kTestRunId;
  run.request.environment = "host";
  run.request.argv = {"true"};
  run.state = state;
  run.created_ms = 1'700'000'000'000;
  run.attempt = 1;
  return run;
}

inline model::Run ended_run(int exit_code) {
  model::Run run = run_in_state(exit_code == 0 ? model::RunState::succeeded
                                               : model::RunState::failed);
  run.started_ms = run.ended_ms = run.created_ms + 1;
  run.outcome = model::Outcome{model::EndReason::exited, exit_code, 0, ""};
  return run;
}

inline std::string end_frame(const model::Run& run) {
  return model::encode_frame(model::FrameType::end, to_text(model::to_json(run)));
}

class FakeTared {
 public:
  explicit FakeTared(std::vector<http::Route> routes) : routes_(std::move(routes)) {
    std::string pattern = std::filesystem::temp_directory_path() / "tare-fake-XXXXXX";
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    home_ = pattern;
    std::filesystem::create_directory(home_ + "/run");
    out_ = sys::open_at(sys::kCwd, home_ + "/out", O_RDWR | O_CREAT, 0600).value();
    err_ = sys::open_at(sys::kCwd, home_ + "/err", O_RDWR | O_CREAT, 0600).value();
  }
  ~FakeTared() { std::filesystem::remove_all(home_); }

  // Instead of the file; borrowed.
  void set_stdout(int fd) { stdout_ = fd; }

  // `body` on a fiber, with the server beside it.
  void run(const std::function<void(App&, const fiber::Context&)>& body) {
    auto done = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
      auto listener = TRY(fiber::UnixListener::bind(home_ + "/run/tared.sock", {}));
      const http::Server server(routes_, {.drain_timeout = std::chrono::milliseconds(10)});
      fiber::TaskGroup serving(ctx);
      serving.spawn(
          [&](const fiber::Context& task) { static_cast<void>(server.serve(listener, task)); });
      App app{.target = target(),
              .client = TRY(Client::create(target())),
              .out = StdOutput(stdout_ >= 0 ? stdout_ : out_.get()),
              .err = StdOutput(err_.get()),
              .clock = clock_,
              .random = random_};
      body(app, ctx);
      return ok();
    });
    EXPECT_TRUE(done.ok()) << (done ? "" : done.error().message);
  }

  Target target() const { return {.home = home_, .url = "", .api_key = ""}; }
  const std::string& home() const { return home_; }
  std::string out() const { return sys::read_file_at(sys::kCwd, home_ + "/out", 64 << 20).value(); }
  std::string err() const { return sys::read_file_at(sys::kCwd, home_ + "/err", 64 << 20).value(); }

 private:
  std::vector<http::Route> routes_;
  std::string home_;
  sys::UniqueFd out_, err_;
  int stdout_ = -1;
  RealClock clock_;
  SeededRandom random_{1};
};

// Runs a command as main does and returns its exit status.
inline int status_of(FakeTared& fake, const auto& value) {
  int status = -1;
  fake.run([&](App& app, const fiber::Context& ctx) {
    const auto done = run_command(value, app, ctx);
    status = done ? *done : exit_status_of(done.error().code);
    if (!done) app.note(done.error().message, ctx);
  });
  return status;
}

}  // namespace tare::cli
