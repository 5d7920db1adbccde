// Files that a client has uploaded as blobs, and names: an agent's, a runner's. As a layer in the
// store.
//
// Errors: Errc::invalid for a path; not_found for a blob that is not there, naming the file;
// conflict for one that has a secret (known_secrets.h). Loop thread only.
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

// Their paths are such as a file below a folder of ours can have, each once and none the folder of
// another. Pure.
Result<> check_upload_paths(const std::vector<UploadedFile>& files);

// The layer's digest. The same for the same files in another order. The caller has published
// (layer_gate.h).
Result<std::string> import_uploads(const RunDeps& deps, snapshot::FilesOf of,
                                   std::vector<UploadedFile> files, const fiber::Context& ctx);

}  // namespace tare::host
