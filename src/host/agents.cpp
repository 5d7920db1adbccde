#include "host/agents.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "host/admission.h"
#include "host/host_programs.h"
#include "host/runner_needs.h"
#include "host/spec.h"
#include "host/uploaded_files.h"

namespace tare::host {

namespace {

// The entry itself, or something in the folder it is.
bool belongs_to(std::string_view path, std::string_view entry) {
  return path == entry ||
         (path.size() > entry.size() && path.starts_with(entry) && path[entry.size()] == '/');
}

}  // namespace

Result<> match_files(const std::vector<std::string>& entries,
                     const std::vector<UploadedFile>& files) {
  TRY(check_upload_paths(files));
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto owner = std::find_if(entries.begin(), entries.end(), [&](const std::string& entry) {
      return belongs_to(files[i].path, entry);
    });
    if (owner == entries.end()) {
      return field_error(fmt::format("files[{}].path", i),
                         quote(files[i].path) + " is not among `files` of agent.toml");
    }
  }
  for (const std::string& entry : entries) {
    const auto file = std::find_if(files.begin(), files.end(), [&](const UploadedFile& one) {
      return belongs_to(one.path, entry);
    });
    if (file == files.end()) {
      return field_error("files", quote(entry) + " is named by agent.toml and was not sent");
    }
  }
  return ok();
}

Result<runs::StoredAgent> Agents::apply(std::string_view manifest, std::vector<UploadedFile> files,
                                        const fiber::Context& ctx) {
  model::Agent agent;
  agent.tenant = kTenant;
  agent.manifest = TRY(model::parse_agent_toml(manifest));
  agent.name = agent.manifest.name;
  TRY(match_files(agent.manifest.files, files));
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until the version is recorded
  const auto environment = TRY(environments_.resolve(agent.manifest.environment));
  agent.environment_digest = environment.digest;
  agent.environment_layers = environment.layers;
  if (!files.empty()) {
    agent.files_digest = TRY(
        import_uploads(deps_, snapshot::FilesOf::agent, std::move(files), ctx));
  }
  if (!agent.manifest.runner.empty()) TRY(check_needs(agent, ctx));
  agent.created_ms = deps_.clock.wall_ms();
  return deps_.records.run([&](runs::Store& store) -> Result<runs::StoredAgent> {
    if (!agent.manifest.runner.empty()) TRY(runners_.begin(store, agent));
    return store.put_agent(agent);
  });
}

Result<> Agents::check_needs(const model::Agent& agent, const fiber::Context& ctx) {
  const model::AgentManifest& manifest = agent.manifest;
  // The pinned version; else what a run of it would be given now.
  const model::Runner runner = TRY(
      runners_.chosen(agent.name, manifest.runner, std::string(kRunIdBytes, '0')));
  const auto config = TRY(
      environments_.config_of(agent.environment_digest, agent.environment_layers));
  model::RunRequest request;
  request.env = merge_env(config.env, manifest.env);
  request.environment_digest = agent.environment_digest;
  request.environment_layers = agent.environment_layers;
  request.files_digest = agent.files_digest;
  const auto variables = environment_variables(request, "");
  // `host` knows nothing of layers; what an agent brings along lies in its own folder.
  const bool on_host = agent.environment_digest.empty();
  const std::string missing = TRY(missing_program(
      runner.manifest.needs, path_of(variables),
      on_host ? std::vector<std::string>() : layers_of(request), deps_.store, deps_.offload, ctx));
  if (missing.empty()) return ok();
  return field_error(
      "runner", fmt::format("{} needs {}, which environment {} does not have (PATH is {}): name an "
                            "environment that has it, such as \"debian:bookworm:PACKAGE,...\", or "
                            "another runner",
                            runner.reference(), quote(missing), quote(manifest.environment),
                            path_of(variables)));
}

Result<model::Agent> Agents::get(std::string_view name, std::optional<std::uint32_t> version) {
  return deps_.records.run(
      [&](runs::Store& store) { return store.get_agent(kTenant, name, version); });
}

Result<runs::AgentPage> Agents::list(std::string_view cursor, std::size_t limit) {
  return deps_.records.run(
      [&](runs::Store& store) { return store.list_agents(kTenant, cursor, limit); });
}

}  // namespace tare::host
