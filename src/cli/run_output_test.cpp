#include "cli/run_output.h"

#include <random>

#include "base/base64.h"
#include "cli/fake_tared.h"
#include "cli/render.h"

namespace tare::cli {
namespace {

using http::Exchange;
using http::Method;
using model::FrameType;

std::uint64_t number_in(Exchange& ex, std::string_view name) {
  return std::stoull(std::string(ex.query().get(name).value_or("0")));
}

http::Route logs_route(http::Handler handler) {
  return {.method = Method::get, .path = "/v1/runs/{id}/logs", .handler = std::move(handler)};
}

Result<> start_frames(Exchange& ex) {
  return ex.start(200, {{"Content-Type", model::kFramesMediaType.data()}}, std::nullopt);
}

const FollowOptions kFollow{.id = std::string(kTestRunId)};

// Serves two streams as frames of random sizes, from the offsets asked for, and breaks off at
// random places, in the midst of frames too, until it may go through.
class BreakingLog {
 public:
  BreakingLog(std::string out, std::string err, std::uint32_t seed)
      : out_(std::move(out)), err_(std::move(err)), random_(seed) {}

  Result<> serve(Exchange& ex) {
    ++connections_;
    std::size_t out_at = number_in(ex, "stdout_from"), err_at = number_in(ex, "stderr_from");
    EXPECT_LE(out_at, out_.size());
    EXPECT_LE(err_at, err_.size());
    std::string wire;
    while (out_at < out_.size() || err_at < err_.size()) {
      const bool use_out = err_at == err_.size() || (out_at < out_.size() && random_() % 2 == 0);
      std::size_t& at = use_out ? out_at : err_at;
      const std::string piece = (use_out ? out_ : err_).substr(at, random_() % 5000);
      wire += model::encode_frame(use_out ? FrameType::out : FrameType::err, piece);
      at += piece.size();
      if (random_() % 5 == 0) wire += model::encode_frame(FrameType::keep_alive, "");
    }
    wire += end_frame(ended_run(0));
    const bool break_off = random_() % 8 != 0 && connections_ < 60;
    if (break_off) wire.resize(std::min<std::size_t>(wire.size() - 1, random_() % 20'000));
    TRY(start_frames(ex));
    TRY(ex.write(wire));
    return break_off ? Result<>(Error{Errc::internal, "the test breaks off"}) : ok();
  }

  int connections() const { return connections_; }

 private:
  std::string out_, err_;
  std::mt19937 random_;
  int connections_ = 0;
};

TEST(RunOutput, is_byte_exact_however_often_the_connection_breaks) {
  std::mt19937 random(5);
  std::string out(60'000, '\0'), err(30'000, '\0');
  for (char& c : out) c = static_cast<char>(random());
  for (char& c : err) c = static_cast<char>(random());
  int connections = 0;
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    BreakingLog log(out, err, seed);
    FakeTared fake({logs_route([&](Exchange& ex) { return log.serve(ex); })});
    fake.run([&](App& app, const fiber::Context& ctx) {
      StreamingSink sink(app);
      const auto run = follow_output(app, kFollow, sink, ctx);
      ASSERT_TRUE(run.ok()) << run.error().message;
      EXPECT_EQ(run->state, model::RunState::succeeded);
    });
    EXPECT_EQ(fake.out(), out);
    // What is said about the outage goes to stderr, between the program's own bytes, once.
    std::string said = fake.err();
    const auto at = said.find("tare: lost tared");
    if (log.connections() > 1) {
      ASSERT_NE(at, std::string::npos);
      said.erase(at, said.find('\n', at) + 1 - at);
    }
    EXPECT_EQ(said, err);
    connections += log.connections();
  }
  EXPECT_GT(connections, 5);
}

TEST(RunOutput, bytes_that_were_not_kept_are_said_and_counted_on) {
  bool first = true;
  FakeTared fake({logs_route([&](Exchange& ex) -> Result<> {
    TRY(start_frames(ex));
    if (std::exchange(first, false)) {
      TRY(ex.write(
          model::encode_frame(FrameType::out, "abc") +
          model::encode_frame(FrameType::cut, R"({"stream":"stdout","from":3,"to":1003})")));
      return Error{Errc::internal, "the test breaks off"};
    }
    EXPECT_EQ(number_in(ex, "stdout_from"), 1003u);
    return ex.write(model::encode_frame(FrameType::out, "xyz") + end_frame(ended_run(0)));
  })});
  fake.run([](App& app, const fiber::Context& ctx) {
    StreamingSink sink(app);
    EXPECT_TRUE(follow_output(app, kFollow, sink, ctx).ok());
  });
  EXPECT_EQ(fake.out(), "abcxyz");
  EXPECT_THAT(fake.err(), testing::HasSubstr("1000 bytes of stdout were not kept"));
}

TEST(RunOutput, a_server_that_does_not_speak_the_format_is_given_up_on) {
  const std::string table[] = {
      "HTTP is not frames",
      model::encode_frame(FrameType::cut, R"({"stream":"stdout","from":5,"to":9})"),
      model::encode_frame(FrameType::cut, R"({"stream":"stdin","from":0,"to":9})"),
      model::encode_frame(FrameType::cut, R"({"stream":"stdout","from":0,"to":-1})"),
      model::encode_frame(FrameType::cut, ""),
      model::encode_frame(FrameType::end, "{}"),
      model::encode_frame(FrameType::end, "not json"),
      end_frame(run_in_state(model::RunState::running)),
      end_frame(ended_run(0)) + "x",
  };
  for (const std::string& wire : table) {
    FakeTared fake({logs_route([&](Exchange& ex) -> Result<> {
      TRY(start_frames(ex));
      return ex.write(wire);
    })});
    fake.run([&](App& app, const fiber::Context& ctx) {
      StreamingSink sink(app);
      const auto run = follow_output(app, kFollow, sink, ctx);
      ASSERT_FALSE(run.ok()) << wire;
      EXPECT_EQ(run.error().code, Errc::internal) << wire;
    });
  }
}

TEST(RunOutput, a_refusal_is_not_tried_again) {
  int asked = 0;
  FakeTared fake({logs_route([&](Exchange& ex) {
    ++asked;
    return reply_error(ex, 404, "not_found", "no such run");
  })});
  fake.run([](App& app, const fiber::Context& ctx) {
    StreamingSink sink(app);
    EXPECT_EQ(follow_output(app, kFollow, sink, ctx).error().code, Errc::not_found);
  });
  EXPECT_EQ(asked, 1);
}

TEST(RunOutput, a_daemon_that_is_not_ready_yet_is_waited_for) {
  int asked = 0;
  FakeTared fake({logs_route([&](Exchange& ex) -> Result<> {
    if (++asked < 3) return reply_error(ex, 503, "unavailable", "recovering");
    TRY(start_frames(ex));
    return ex.write(end_frame(ended_run(7)));
  })});
  fake.run([](App& app, const fiber::Context& ctx) {
    StreamingSink sink(app);
    EXPECT_EQ(follow_output(app, kFollow, sink, ctx)->outcome->exit_code, 7);
  });
  EXPECT_EQ(asked, 3);
}

TEST(RunOutput, without_follow_the_log_of_a_running_run_ends) {
  FakeTared fake({logs_route([](Exchange& ex) -> Result<> {
    EXPECT_EQ(ex.query().get("follow"), "false");
    TRY(start_frames(ex));
    return ex.write(model::encode_frame(FrameType::out, "so far") +
                    end_frame(run_in_state(model::RunState::running)));
  })});
  fake.run([](App& app, const fiber::Context& ctx) {
    StreamingSink sink(app);
    const auto run = follow_output(app, {.id = std::string(kTestRunId), .follow = false}, sink,
                                   ctx);
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(run->state, model::RunState::running);
  });
  EXPECT_EQ(fake.out(), "so far");
}

TEST(RunOutput, captured_output_is_bounded_and_says_how_it_is_written) {
  auto done = fiber::run_fiber([](const fiber::Context& ctx) -> Result<> {
    CapturingSink sink;
    TRY(sink.write(FrameType::out, "größe", ctx));
    TRY(sink.write(FrameType::err, std::string("\xff\0", 2), ctx));
    JsonObject small;
    sink.add_to(small);
    EXPECT_EQ(text_at(small, {"stdout"}), "größe");
    EXPECT_EQ(text_at(small, {"stdout_encoding"}), "utf-8");
    EXPECT_FALSE(flag_at(small, {"stdout_cut"}));
    EXPECT_EQ(base64_decode(text_at(small, {"stderr"})).value(), std::string("\xff\0", 2));
    EXPECT_EQ(text_at(small, {"stderr_encoding"}), "base64");

    const std::string big(kMaxCapturedBytes / 2 + 100, 'x');
    for (int i = 0; i < 3; ++i) TRY(sink.write(FrameType::out, big, ctx));
    JsonObject cut;
    sink.add_to(cut);
    EXPECT_EQ(text_at(cut, {"stdout"}).size(), kMaxCapturedBytes);
    EXPECT_TRUE(flag_at(cut, {"stdout_cut"}));
    return ok();
  });
  EXPECT_TRUE(done.ok());
}

}  // namespace
}  // namespace tare::cli
