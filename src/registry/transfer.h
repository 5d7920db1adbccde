// An image from a registry as an oci-archive on a descriptor, and back. Every byte is verified
// against its descriptor's size and digest before the archive goes on; what reads the archive does
// so again.
//
// Owner: main. Threads: one; blocks. Errors: those of RegistryClient; Errc::invalid for a registry
// or archive that contradicts itself.
#pragma once

#include <string>

#include "base/result.h"
#include "registry/client.h"
#include "registry/input.h"

namespace tare::registry {

// `platform`: "" for this machine's. What it does is said on stderr.
Result<> pull(RegistryClient& client, const model::ImageReference& reference,
              const std::string& platform, int out);
// `archive`: as tared exports it (snapshot/image/image_export.h): documents first, plain entries.
// Blobs that the registry has are passed over.
Result<> push(RegistryClient& client, const model::ImageReference& reference, Input& archive);

}  // namespace tare::registry
