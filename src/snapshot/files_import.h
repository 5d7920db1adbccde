// The agent's own files as a layer: what a FileChunk lists, below /home/agent, owned by uid and gid
// 1000. The names come from tared and are not trusted. Times are one fixed moment, so that the same
// files give the same digest.
//
// Errors: Errc::invalid naming the path. Threads: one; runs in a job of its own.
#pragma once

#include <vector>

#include "base/result.h"
#include "snapshot/protocol.h"
#include "snapshot/tree_writer.h"
#include "sys/fd.h"

namespace tare::snapshot {

inline constexpr std::string_view kAgentHome = "home/agent";
inline constexpr std::uint32_t kAgentId = 1000;

// The folders every such layer has.
Result<> add_agent_home(TreeWriter& writer);
// fds[i] is the content of files[i].
Result<> add_agent_files(TreeWriter& writer, const std::vector<FileItem>& files,
                         const std::vector<sys::UniqueFd>& fds);

}  // namespace tare::snapshot
