#include "host/spec.h"

#include <map>

#include "model/profile.h"

namespace tare::host {

namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t kHostnameIdBytes = 8;

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

std::vector<std::string> environment_variables(const model::RunRequest& request,
                                               std::string_view run_id) {
  std::map<std::string, std::string, std::less<>> variables = {
      {"HOME", "/home/agent"}, {"LANG", "C.UTF-8"},    {"PATH", std::string(kPath)},
      {"TZ", "UTC"},           {"USER", request.user},
  };
  for (const std::string& variable : request.env) {
    const std::size_t equals = variable.find('=');
    CHECK(equals != std::string::npos);  // model::validate has looked
    variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  variables["TARE_RUN"] = run_id;
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

std::string hostname_of(std::string_view run_id) {
  CHECK(run_id.size() >= kHostnameIdBytes);
  return "tare-" + std::string(run_id.substr(run_id.size() - kHostnameIdBytes));
}

Result<model::SandboxSpec> sandbox_spec(const model::RunRequest& request, std::string_view run_id,
                                        Purpose purpose) {
  model::SandboxSpec spec;
  spec.id = run_id;
  spec.hostname = hostname_of(run_id);
  spec.host_root = request.environment_digest.empty();
  spec.layers = layers_of(request);
  spec.session = request.session;
  spec.argv = request.argv;
  spec.env = environment_variables(request, run_id);
  spec.uid = spec.gid = TRY(model::uid_of_user(request.user));
  spec.with_stdin = request.with_stdin;
  spec.with_input = !request.inputs.empty();
  spec.profile = TRY(model::profile_from(request.profile));
  spec.network = purpose == Purpose::build ? model::Network::host : model::Network::none;
  spec.limits = request.limits;
  return spec;
}

}  // namespace tare::host
