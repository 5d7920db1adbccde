#include "host/spec.h"

#include <map>

#include "base/hash.h"
#include "model/environment.h"
#include "model/profile.h"
#include "sandbox/plan/plan.h"

namespace tare::host {

namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static_assert(model::kMaxUserId < sandbox::kInitUid);
constexpr std::size_t kHostnameIdBytes = 8;
constexpr std::size_t kMachineIdBytes = 32;  // the end of a digest: 128 bits

}  // namespace

std::vector<std::string> layers_of(const model::RunRequest& request) {
  std::vector<std::string> layers;
  if (!request.environment_layers.empty()) {
    layers = request.environment_layers;
  } else if (!request.environment_digest.empty()) {
    layers.push_back(request.environment_digest);
  }
  if (!request.files_digest.empty()) layers.push_back(request.files_digest);
  return layers;
}

std::vector<std::string> with_own(std::vector<std::string> layers, const model::OwnLayers& own) {
  layers.insert(layers.end(), own.root.begin(), own.root.end());
  layers.insert(layers.end(), own.scratch.begin(), own.scratch.end());
  return model::unrepeated(layers);
}

std::vector<std::string> layers_of(const model::Run& run) {
  return with_own(layers_of(run.request), run.own);
}

model::Run with_runner(model::Run run, const std::optional<model::SessionRunner>& runner) {
  if (!runner) return run;
  run.request.runner = runner->reference;
  run.request.runner_digest = runner->digest;
  return run;
}

std::vector<std::string> environment_variables(const model::RunRequest& request,
                                               std::string_view run_id) {
  std::map<std::string, std::string, std::less<>> variables = {
      {"HOME", "/home/agent"},
      {"LANG", "C.UTF-8"},
      {"PATH", std::string(kPath)},
      {"TZ", "UTC"},
  };
  // One that is only a number has the name that the image says, or none.
  if (model::is_named_user(request.user)) variables["USER"] = request.user;
  for (const std::string& variable : request.env) {
    const std::size_t equals = variable.find('=');
    CHECK(equals != std::string::npos);  // model::validate has looked
    variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  variables["TARE_RUN"] = run_id;
  if (!request.runner.empty()) {
    variables["TARE_RUNNER"] = request.runner;
    variables["TARE_RUNNER_DIGEST"] = request.runner_digest;
    if (reports(request)) variables["TARE_REPORT_FD"] = std::to_string(sandbox::kReportFd);
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

std::string hostname_of(const model::Run& run) {
  CHECK(run.id.size() >= kHostnameIdBytes);
  const std::string name = "tare-" + run.id.substr(run.id.size() - kHostnameIdBytes);
  const std::uint32_t attempt = model::attempt_of(run);
  return attempt > 1 ? name + "-" + std::to_string(attempt) : name;
}

std::string machine_id_of(const model::Run& run) {
  const std::string digest = sha256_text("tare-machine-id 1\n" + run.id + "\n" +
                                         std::to_string(model::attempt_of(run)) + "\n");
  return digest.substr(digest.size() - kMachineIdBytes);
}

Result<model::SandboxSpec> sandbox_spec(const model::Run& run, Purpose purpose) {
  const model::RunRequest& request = run.request;
  model::SandboxSpec spec;
  spec.id = run.id;
  spec.hostname = hostname_of(run);
  spec.machine_id = machine_id_of(run);
  spec.host_root = request.environment_digest.empty();
  spec.layers = layers_of(run);
  spec.runner = request.runner_digest;
  spec.session = request.session;
  spec.argv = request.argv;
  spec.env = environment_variables(request, run.id);
  if (!request.cwd.empty()) spec.cwd = request.cwd;
  const model::UserIds ids = TRY(model::ids_of_user(request.user));
  spec.uid = ids.uid;
  spec.gid = ids.gid;
  spec.with_stdin = request.with_stdin;
  spec.with_input = !request.inputs.empty();
  spec.profile = TRY(model::profile_from(request.profile));
  spec.network = has_network(purpose) ? model::Network::host : model::Network::none;
  spec.limits = request.limits;
  return spec;
}

}  // namespace tare::host
