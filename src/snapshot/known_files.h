// KnownFiles: the regular files of a layer that was made of the same upper before. What is the same
// there is linked into the next layer: it need not be written, hashed, searched or made durable
// again.
//
// Whether it is the same is found by reading both: an upper's times cannot say it. A program that
// has a file mapped writes to it without a change of its ctime, always in a tmpfs, and on a disk as
// long as the page was not written back; and it goes on after a checkpoint.
//
// Owner: one job. The layer is read, never changed. Files with several names, in the upper or in
// the layer, are none of these. Errors: Errc::conflict for a damaged manifest; what the kernel
// says. Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "snapshot/manifest.h"
#include "snapshot/tree_manifest.h"
#include "snapshot/tree_writer.h"
#include "sys/fd.h"

namespace tare::snapshot {

class KnownFiles {
 public:
  // `root`: the layer's tree.
  KnownFiles(sys::UniqueFd root, Manifest manifest);

  // Has the layer, at that path, a file with what `file` has, and these metadata?
  Result<bool> has(const std::string& path, int file, std::uint64_t size,
                   const EntryMetadata& metadata, const OnProgress& progress);
  int root() const { return root_.get(); }
  const Sha256Digest& content(const std::string& path) const { return files_.at(path).content; }

 private:
  bool is_alike(const ManifestEntry& known, std::uint64_t size,
                const EntryMetadata& metadata) const;
  Result<bool> is_as_said(const ManifestEntry& known, int there) const;

  sys::UniqueFd root_;
  std::map<std::string, ManifestEntry, std::less<>> files_;
  std::vector<std::byte> ours_, theirs_;
};

}  // namespace tare::snapshot
