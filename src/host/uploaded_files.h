// Files that a client has uploaded as blobs, and names: an agent's, a runner's. As a layer in the
// store.
//
// Errors: not_found for a blob that is not there, naming the file. Loop thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/run_deps.h"

namespace tare::host {

struct UploadedFile {
  std::string path;  // as found beside the manifest
  std::uint32_t mode = 0644;
  std::string digest;  // of a blob
};

// The layer's digest. The same for the same files in another order. The caller has published
// (layer_gate.h).
Result<std::string> import_uploads(const RunDeps& deps, snapshot::FilesOf of,
                                   std::vector<UploadedFile> files, const fiber::Context& ctx);

}  // namespace tare::host
