// Code that interpreters have compiled of a runner and keep in a session's own folders: Python's
// bytecode below PYTHONPYCACHEPREFIX, V8's below NODE_COMPILE_CACHE. It is of no use to another
// version, and goes when the session is given one. (It would not be executed: a runner's files have
// times that follow from their content. By itself neither interpreter keeps any: the runner's own
// folder cannot be written.)
//
// Owner: main. Loop thread only. All that is done inside is done by tare-files, as the sandbox's
// user: what is hostile there harms its own sandbox alone. Errors: of SandboxFiles; a cache that is
// not there is none. Not seen: folders that are set in code or for one program, or that are a
// default (docs/runners.md). In a durable session the next checkpoint has it: none is waited for,
// as one would wait for the end of the swap. What never happens: a file is removed elsewhere than
// in the folder that Python keeps for the runner's path (all of it, whoever put it there) and in
// those that are named as Node names its own; more than kMostCaches of these, or kPurgePatience, in
// one purge.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/sandbox_files.h"

namespace tare::host {

inline constexpr std::size_t kMostCaches = 64;
inline constexpr std::chrono::seconds kPurgePatience{3};

struct CodeCaches {
  std::string python;  // with what Python compiled of the runner, and nothing else; "": none
  std::string node;    // with V8's, beside whatever the session has there; "": none
};
// As the variables of a session's programs have it. Pure.
CodeCaches code_caches(const std::vector<std::string>& variables);
// Is a folder of that name, below `node`, one that Node made: v22.12.0-x64-fb110d50-1000? Pure.
// Source: GetCacheVersionTag() of Node's src/compile_cache.cc.
bool is_node_cache(std::string_view name);

Result<> purge(const CodeCaches& caches, const std::string& run, SandboxFiles& files,
               const fiber::Context& ctx);

}  // namespace tare::host
