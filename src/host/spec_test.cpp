#include "host/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/admission.h"
#include "host/agents.h"
#include "host/launch_parts.h"

namespace tare::host {
namespace {

using testing::Contains;
using testing::ElementsAre;

constexpr std::string_view kId = "run_01aryz6s41tsv4rrffq69g5fav";
const std::string kOne = "sha256:" + std::string(64, '1'), kTwo = "sha256:" + std::string(64, '2'),
                  kThree = "sha256:" + std::string(64, '3');

model::RunRequest a_request() {
  model::RunRequest request;
  request.environment = "host";
  request.argv = {"true"};
  return request;
}

model::Run run_of(model::RunRequest request) {
  model::Run run;
  run.id = kId;
  run.request = std::move(request);
  return run;
}

TEST(Spec, an_ad_hoc_run_on_the_host_gets_the_hosts_files_and_no_network) {
  const auto spec = sandbox_spec(run_of(a_request()), Purpose::run).value();
  EXPECT_TRUE(spec.host_root);
  EXPECT_TRUE(spec.layers.empty());
  EXPECT_EQ(spec.network, model::Network::none);
  EXPECT_EQ(spec.uid, 1000U);
  EXPECT_EQ(spec.cwd, "/home/agent");
  EXPECT_EQ(spec.hostname, "tare-q69g5fav");
  EXPECT_FALSE(spec.with_input);
}

TEST(Spec, the_agents_files_lie_above_its_environment) {
  auto request = a_request();
  request.environment_digest = kOne;
  request.files_digest = kTwo;
  const auto spec = sandbox_spec(run_of(request), Purpose::run).value();
  EXPECT_FALSE(spec.host_root);
  EXPECT_THAT(spec.layers, ElementsAre(kOne, kTwo));
}

TEST(Spec, only_a_build_gets_the_network_whatever_the_profile) {
  auto request = a_request();
  request.profile = "build";
  EXPECT_EQ(sandbox_spec(run_of(request), Purpose::run)->network, model::Network::none);
  EXPECT_EQ(sandbox_spec(run_of(request), Purpose::build)->network, model::Network::host);
}

TEST(Spec, commands_in_an_environment_have_the_network_only_when_they_ask_for_it) {
  auto request = a_request();
  request.environment_digest = kOne;
  EXPECT_EQ(sandbox_spec(run_of(request), Purpose::commands)->network, model::Network::none);
  EXPECT_EQ(sandbox_spec(run_of(request), Purpose::commands_online)->network, model::Network::host);
}

TEST(Spec, a_session_that_wakes_stands_on_its_own_layers_and_is_another_machine) {
  auto request = a_request();
  request.argv.clear();
  request.session = true;
  request.environment_digest = kOne;
  auto run = run_of(request);
  const auto first = sandbox_spec(run, Purpose::run).value();
  run.state = model::RunState::running;
  run.attempt = 1;
  EXPECT_EQ(sandbox_spec(run, Purpose::run)->machine_id, first.machine_id);
  run.state = model::RunState::hibernated;
  run.own = {.root = {kTwo}, .scratch = {kThree}};
  const auto second = sandbox_spec(run, Purpose::run).value();
  EXPECT_THAT(second.layers, ElementsAre(kOne, kTwo, kThree));
  EXPECT_EQ(first.machine_id.size(), 32U);
  EXPECT_NE(second.machine_id, first.machine_id);
  EXPECT_EQ(first.hostname, "tare-q69g5fav");
  EXPECT_EQ(second.hostname, "tare-q69g5fav-2");
}

TEST(Spec, root_inside_is_root_and_inputs_are_shown) {
  auto request = a_request();
  request.user = "root";
  request.inputs = {{.name = "a.csv", .digest = kOne, .size = 1}};
  const auto spec = sandbox_spec(run_of(request), Purpose::run).value();
  EXPECT_EQ(spec.uid, 0U);
  EXPECT_TRUE(spec.with_input);
}

TEST(Spec, a_request_may_replace_every_variable_but_the_runs_own) {
  auto request = a_request();
  request.env = {"PATH=/x", "A=b=c", "EMPTY="};
  const auto variables = environment_variables(request, kId);
  EXPECT_THAT(variables,
              ElementsAre("A=b=c", "EMPTY=", "HOME=/home/agent", "LANG=C.UTF-8", "PATH=/x",
                          "TARE_RUN=" + std::string(kId), "TZ=UTC", "USER=agent"));
}

TEST(Spec, a_runner_is_no_layer_and_only_a_program_reports) {
  model::RunRequest request = a_request();
  request.runner = "python@1.0";
  request.runner_digest = kOne;
  const auto spec = sandbox_spec(run_of(request), Purpose::run).value();
  EXPECT_EQ(spec.runner, kOne);
  EXPECT_TRUE(spec.layers.empty());
  EXPECT_THAT(spec.env, testing::IsSupersetOf({std::string("TARE_RUNNER=python@1.0"),
                                               "TARE_RUNNER_DIGEST=" + std::string(kOne),
                                               std::string("TARE_REPORT_FD=5")}));
  request.session = true;
  request.argv.clear();
  EXPECT_THAT(sandbox_spec(run_of(request), Purpose::run)->env,
              testing::Not(testing::Contains("TARE_REPORT_FD=5")));
  const model::SessionRunner other{"python@1.1", kTwo, true};
  EXPECT_EQ(sandbox_spec(with_runner(run_of(request), other), Purpose::run)->runner, kTwo);
  EXPECT_EQ(with_runner(run_of(request), std::nullopt), run_of(request));
}

TEST(Runners, files_of_one_are_checked_before_anything_is_stored) {
  const auto why = [](std::vector<std::string> paths) {
    std::vector<UploadedFile> files;
    for (std::string& path : paths) files.push_back({std::move(path), 0644, kOne});
    const auto checked = check_runner_files(files);
    return checked ? std::string() : checked.error().message;
  };
  EXPECT_EQ(why({"runner.toml", "main.py", "lib/tare.py"}), "");
  EXPECT_THAT(why({"main.py"}), testing::HasSubstr("runner.toml is missing"));
  EXPECT_THAT(why({"runner.toml", "../x"}), testing::HasSubstr("files[1].path"));
  EXPECT_THAT(why({"runner.toml", "a", "a/b"}), testing::HasSubstr("is a folder of another file"));
  for (const char* compiled :
       {"x.pyc", "lib/__pycache__/x.cpython-311.opt-1.pyc", "a/__pycache__/x"})
    EXPECT_THAT(why({"runner.toml", compiled}), testing::HasSubstr("compiled code"));
}

TEST(Spec, every_spec_compiles_to_a_plan) {
  const std::string filter(8, '\0');
  const Filters filters{filter, filter, filter};
  for (const char* profile : {"strict", "default", "build"}) {
    auto request = a_request();
    request.profile = profile;
    const auto spec = sandbox_spec(run_of(request), Purpose::run).value();
    EXPECT_TRUE(plans_of(spec, filters).ok()) << profile;
  }
}

TEST(Admission, a_requests_variables_replace_the_agents_of_the_same_name) {
  EXPECT_THAT(merge_env({"A=1", "B=2", "AB=3"}, {"B=x", "C=y"}),
              ElementsAre("A=1", "AB=3", "B=x", "C=y"));
}

TEST(Agents, each_file_belongs_to_an_entry_and_each_entry_has_one) {
  const auto file = [](const char* path) {
    return UploadedFile{.path = path, .mode = 0644, .digest = kOne};
  };
  EXPECT_TRUE(
      match_files({"a.py", "lib"}, {file("a.py"), file("lib/x.py"), file("lib/y/z.py")}).ok());
  EXPECT_TRUE(match_files({}, {}).ok());
  EXPECT_EQ(match_files({"lib"}, {file("library.py")}).error().field, "files[0].path");
  EXPECT_EQ(match_files({"a.py", "b.py"}, {file("a.py")}).error().field, "files");
  EXPECT_EQ(match_files({"lib"}, {file("lib/../x")}).error().field, "files[0].path");
  EXPECT_EQ(match_files({"a"}, {file("a"), file("a")}).error().field, "files[1].path");
}

}  // namespace
}  // namespace tare::host
