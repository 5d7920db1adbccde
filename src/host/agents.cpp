#include "host/agents.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
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
  agent.created_ms = deps_.clock.wall_ms();
  return deps_.records.run([&](runs::Store& store) -> Result<runs::StoredAgent> {
    if (!agent.manifest.runner.empty()) TRY(runners_.begin(store, agent));
    return store.put_agent(agent);
  });
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
