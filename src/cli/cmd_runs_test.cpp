// tare ps, kill, artifacts and what they share, against a real HTTP server; every command without a
// daemon.
#include <algorithm>
#include <filesystem>

#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/fake_tared.h"
#include "cli/render.h"

namespace tare::cli {
namespace {

namespace fs = std::filesystem;
using http::Exchange;
using http::Method;

// ---- artifacts

http::Route artifact_list(std::vector<std::string> pages) {
  return {.method = Method::get,
          .path = "/v1/runs/{id}/artifacts",
          .handler = [pages = std::move(pages)](Exchange& ex) {
            const auto cursor = ex.query().get("cursor");
            const std::size_t page = cursor ? std::stoul(std::string(*cursor)) : 0;
            return ex.reply({.status = 200, .headers = {}, .body = pages.at(page)});
          }};
}

http::Route artifact_content(std::string body) {
  return {.method = Method::get,
          .path = "/v1/runs/{id}/artifacts/content",
          .handler = [body = std::move(body)](Exchange& ex) {
            EXPECT_TRUE(ex.query().get("path_base64").has_value());
            return ex.reply({.status = 200, .headers = {}, .body = body});
          }};
}

TEST(ArtifactsCommand, every_page_is_fetched_and_bad_names_are_skipped) {
  FakeTared fake(
      {artifact_list(
           {R"({"artifacts":[{"path":"d","type":"directory","size":0,"mode":493},
                          {"path":"d/f","type":"file","size":4,"mode":420},
                          {"path":"../out","type":"file","size":4,"mode":420},
                          {"path":"/etc/x","type":"file","size":4,"mode":420}],"next_cursor":"1"})",
            R"({"artifacts":[{"path":"l","type":"symlink","size":0,"mode":511,"target":"d/f"},
                          {"path":"m","type":"symlink","size":0,"mode":511,"target":"/etc/passwd"},
                          {"path":"\ufffd","path_base64":"_w","type":"file",
                           "size":4,"mode":420}]})"}),
       artifact_content("body")});
  const std::string folder = fake.home() + "/fetched";
  EXPECT_EQ(status_of(fake, ArtifactsCommand{std::string(kTestRunId), folder, false}), 0);
  EXPECT_EQ(sys::read_file_at(sys::kCwd, folder + "/d/f").value(), "body");
  EXPECT_EQ(fs::read_symlink(folder + "/l"), "d/f");
  EXPECT_FALSE(fs::is_symlink(folder + "/m"));
  EXPECT_EQ(sys::read_file_at(sys::kCwd, folder + "/\xff").value(), "body");
  const std::string notes = fake.err();
  EXPECT_EQ(std::count(notes.begin(), notes.end(), '\n'), 3);
}

TEST(ArtifactsCommand, a_server_that_lies_about_the_list_is_given_up_on) {
  for (const char* page : {R"({"artifacts":[],"next_cursor":"0"})", R"({"artifacts":{}})", R"({})",
                           R"({"artifacts":[{"path":"f","type":"device","size":0,"mode":0}]})",
                           R"({"artifacts":[{"path":"f","type":"file","size":-1,"mode":0}]})",
                           R"({"artifacts":[{"path":"f","type":"file","size":5,"mode":420}]})"}) {
    FakeTared fake({artifact_list({page}), artifact_content("body")});
    const std::string folder = fake.home() + "/fetched";
    EXPECT_EQ(status_of(fake, ArtifactsCommand{std::string(kTestRunId), folder, false}),
              kExitSoftware)
        << page;
    EXPECT_FALSE(fs::exists(folder + "/f"));
  }
}

// ---- runs by abbreviation

http::Route run_list(std::vector<std::string> ids) {
  return {
      .method = Method::get, .path = "/v1/runs", .handler = [ids = std::move(ids)](Exchange& ex) {
        JsonArray runs;
        for (const auto& id : ids) runs.push_back(JsonObject{{"id", id}});
        return reply_json(ex, 200, JsonObject{{"runs", runs}});
      }};
}

TEST(ResolveRun, takes_the_start_or_the_end_of_one_id) {
  FakeTared fake({run_list({"run_01aaaaaaaaaaaaaaaaaaaaaaab", "run_01bbbbbbbbbbbbbbbbbbbbbbbc"})});
  fake.run([](App& app, const fiber::Context& ctx) {
    const auto find = [&](const char* text) { return resolve_run(app, text, ctx); };
    for (const char* text : {"ab", "run_01a", "01a", "run_01aaaaaaaaaaaaaaaaaaaaaaab"}) {
      EXPECT_EQ(find(text).value(), "run_01aaaaaaaaaaaaaaaaaaaaaaab") << text;
    }
    EXPECT_EQ(find("bc").value(), "run_01bbbbbbbbbbbbbbbbbbbbbbbc");
    EXPECT_EQ(find("01").error().code, Errc::conflict);
    EXPECT_EQ(find("zz").error().code, Errc::not_found);
    EXPECT_EQ(find("").error().code, Errc::invalid);
  });
}

TEST(KillCommand, goes_on_after_a_failure_and_exits_with_its_status) {
  std::vector<std::string> killed;
  FakeTared fake(
      {run_list({"run_01aaaaaaaaaaaaaaaaaaaaaaab", "run_01bbbbbbbbbbbbbbbbbbbbbbbc"}),
       {.method = Method::post,
        .path = "/v1/runs/{id}/kill",
        .handler =
            [&](Exchange& ex) {
              killed.push_back(ex.parameter("id"));
              return reply_json(ex, 202, JsonObject{});
            }},
       {.method = Method::get, .path = "/v1/runs/{id}/wait", .handler = [&](Exchange& ex) {
          EXPECT_EQ(killed.back(), ex.parameter("id"));
          return reply_json(ex, 200, JsonObject{{"ended_ms", 1}});
        }}});
  EXPECT_EQ(status_of(fake, KillCommand{{"ab", "nothing", "bc"}}), kExitNotFound);
  EXPECT_EQ(killed.size(), 2u);
  EXPECT_EQ(fake.out(), "run_01aaaaaaaaaaaaaaaaaaaaaaab\nrun_01bbbbbbbbbbbbbbbbbbbbbbbc\n");
}

TEST(RemoveCommand, json_says_of_each_whether_it_is_done_or_why_not) {
  const std::string there = "run_01aaaaaaaaaaaaaaaaaaaaaaab";
  FakeTared fake({run_list({there}),
                  {.method = Method::del, .path = "/v1/runs/{id}", .handler = [](Exchange& ex) {
                     return ex.reply({.status = 204});
                   }}});
  EXPECT_EQ(status_of(fake, RemoveCommand{{"ab", "nothing"}, true}), kExitNotFound);
  const Json said = parse_json(fake.out()).value();
  EXPECT_EQ(array_at(said, "done"), JsonArray{Json(there)});
  ASSERT_EQ(array_at(said, "failed").size(), 1U);
  const Json& failed = array_at(said, "failed")[0];
  EXPECT_EQ(text_at(failed, {"name"}), "nothing");
  EXPECT_EQ(text_at(failed, {"code"}), "not_found");
  EXPECT_THAT(text_at(failed, {"message"}), testing::HasSubstr("no run's id"));
}

TEST(PsCommand, what_tare_makes_a_run_of_is_shown_as_its_command_and_not_as_a_script) {
  model::Run run = ended_run(0);
  run.request.argv = {"sh", "-c", "set -eu\ncp /input/x /tmp/x", "tare-registry", "pull"};
  run.request.about = "env pull docker.io/alpine:3 --name alpine";
  FakeTared fake({{.method = Method::get, .path = "/v1/runs", .handler = [&](Exchange& ex) {
                     return reply_json(ex, 200,
                                       JsonObject{{"runs", JsonArray{model::to_json(run)}}});
                   }}});
  EXPECT_EQ(status_of(fake, PsCommand{.all = true, .agent = {}}), kExitOk);
  EXPECT_THAT(fake.out(), testing::HasSubstr("tare env pull docker.io/alpine:3 --name alpine\n"));
  EXPECT_THAT(fake.out(), testing::Not(testing::HasSubstr("set -eu")));
}

TEST(Commands, each_that_needs_the_daemon_exits_with_69_without_one) {
  auto done = fiber::run_fiber([](const fiber::Context& ctx) -> Result<> {
    RealClock clock;
    SystemRandom random;
    const Target nowhere{.home = "/nonexistent/home", .url = "", .api_key = ""};
    App app{.target = nowhere,
            .client = TRY(Client::create(nowhere)),
            .clock = clock,
            .random = random};
    const std::string id(kTestRunId);
    const auto status = [&](const auto& value) {
      const auto result = run_command(value, app, ctx);
      return result ? *result : exit_status_of(result.error().code);
    };
    RunCommand run;
    run.environment = "host";
    run.argv = {"true"};
    EXPECT_EQ(status(run), kExitUnavailable);
    EXPECT_EQ(status(PsCommand{}), kExitUnavailable);
    EXPECT_EQ(status(LogsCommand{.id = "x"}), kExitUnavailable);
    EXPECT_EQ(status(InspectCommand{.id = id}), kExitUnavailable);
    EXPECT_EQ(status(ArtifactsCommand{id, "", false}), kExitUnavailable);
    EXPECT_EQ(status(KillCommand{.ids = {id}}), kExitUnavailable);
    EXPECT_EQ(status(RemoveCommand{.ids = {"x", "y"}}), kExitUnavailable);
    EXPECT_EQ(status(EnvBuildCommand{"host", "", false, false}), kExitUnavailable);
    EXPECT_EQ(status(EnvListCommand{}), kExitUnavailable);
    EXPECT_EQ(status(EnvShowCommand{.ref = "x"}), kExitUnavailable);
    EXPECT_EQ(status(AgentListCommand{}), kExitUnavailable);
    EXPECT_EQ(status(AgentShowCommand{.name = "x"}), kExitUnavailable);
    EXPECT_EQ(status(DownCommand{}), kExitUnavailable);
    return ok();
  });
  EXPECT_TRUE(done.ok());
}

TEST(PsCommand, shows_a_row_a_run) {
  model::Run run = ended_run(3);
  run.request.argv = {"sh", "-c", "exit 3"};
  run.usage.memory_peak_bytes = 3 << 20;
  run.usage.wall_us = 12'345;
  FakeTared fake({{.method = Method::get, .path = "/v1/runs", .handler = [&](Exchange& ex) {
                     EXPECT_FALSE(ex.query().get("state").has_value());
                     return reply_json(ex, 200,
                                       JsonObject{{"runs", JsonArray{model::to_json(run)}}});
                   }}});
  EXPECT_EQ(status_of(fake, PsCommand{true, false, "", 50}), 0);
  EXPECT_THAT(fake.out(),
              testing::ContainsRegex(
                  "run_01hz.*  host   failed \\(exit 3\\)  .*12.3ms  3M .*sh -c 'exit 3'"));
}

}  // namespace
}  // namespace tare::cli
