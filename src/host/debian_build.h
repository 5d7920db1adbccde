// The run that builds a `debian:` environment: mmdebstrap in a sandbox with the `host` environment,
// the build profile (root inside, no mounts, no device nodes) and the host's network; the image
// leaves as a tar stream on stdout. Pure: the same source gives the same request.
#pragma once

#include "base/result.h"
#include "model/environment.h"
#include "model/run.h"

namespace tare::host {

Result<model::RunRequest> debian_build(const model::EnvironmentSource& source);

}  // namespace tare::host
