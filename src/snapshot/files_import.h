// Files that were uploaded one by one as a layer: an agent's own, below /home/agent and owned by
// uid and gid 1000, or a runner's, from the layer's root on and owned by root. The names come from
// tared and are not trusted.
//
// Times make no difference between two uploads of the same files. An agent's have one fixed moment.
// A runner's follow from their content: Python, and what caches compiled code as it does, takes a
// file of the same path, length and time for the same file, and in a session a runner changes under
// its path.
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
Result<> add_base_folders(TreeWriter& writer, FilesOf of);
// fds[i] is the content of files[i].
Result<> add_files(TreeWriter& writer, FilesOf of, const std::vector<FileItem>& files,
                   const std::vector<sys::UniqueFd>& fds);

}  // namespace tare::snapshot
