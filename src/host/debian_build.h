// The run that builds a `debian:` environment: mmdebstrap in a sandbox with the `host` environment,
// the build profile (root inside, no mounts, no device nodes) and the host's network; the image
// leaves as a tar stream on stdout. Pure: the same source gives the same request.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "model/environment.h"
#include "model/run.h"

namespace tare::host {

// Of a build, unless it asks for others.
inline constexpr model::Limits kBuildLimits = {
    .memory_bytes = 2 * kGiB,
    .cpu_millis = 2000,
    .pids = 1024,
    .disk_bytes = 6 * kGiB,
    .disk_inodes = 1'000'000,
    .output_bytes = 0,
    .time_ms = 30 * 60 * 1000,
    .open_files = 4096,
};

Result<model::RunRequest> debian_build(const model::EnvironmentSource& source);

// Why a program of ours that was to `verb` ("build", "pull") ended with that status, in one line:
// its errors, such as apt's "E: Unable to locate package x", from the end of what it said on
// stderr.
std::string build_failure(std::string_view verb, std::string_view stderr_end, int exit_code);

}  // namespace tare::host
