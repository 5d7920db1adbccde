// Agents: making an immutable version from agent.toml and its files.
//
// Owner: main. Loop thread only. Errors: Errc::invalid naming the key or file; not_found for an
// environment or a blob that is not there, with the fix.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/environments.h"
#include "host/runners.h"
#include "model/agent.h"
#include "runs/store.h"

namespace tare::host {

class Agents {
 public:
  Agents(const RunDeps& deps, Environments& environments, Runners& runners)
      : deps_(deps), environments_(environments), runners_(runners) {}

  Result<runs::StoredAgent> apply(std::string_view manifest, std::vector<UploadedFile> files,
                                  const fiber::Context& ctx);
  Result<model::Agent> get(std::string_view name, std::optional<std::uint32_t> version);
  Result<runs::AgentPage> list(std::string_view cursor, std::size_t limit);

 private:
  // What the runner needs is in the environment, or among the agent's own files.
  Result<> check_needs(const model::Agent& agent, const fiber::Context& ctx);

  const RunDeps& deps_;
  Environments& environments_;
  Runners& runners_;
};

// Each file belongs to an entry of the manifest's `files`, and each entry has a file. Pure.
Result<> match_files(const std::vector<std::string>& entries,
                     const std::vector<UploadedFile>& files);

}  // namespace tare::host
