// The files of an unpacked image archive: which kind it is, and its documents and layers, each
// verified against the size and digest of its descriptor before a byte of it is interpreted.
//
// Borrows the folder's descriptor. Errors: Errc::invalid naming the blob and the fault. Never
// happens: a file outside the folder is read; a symlink is followed but by name within it, once
// (`docker save` writes a layer that appears twice so). Threads: one.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "snapshot/image/documents.h"
#include "sys/fd.h"

namespace tare::snapshot {

enum class ImageKind : std::uint8_t { tree, oci, docker };
std::string_view to_string(ImageKind kind);

class ImageLayout {
 public:
  explicit ImageLayout(int folder) : folder_(folder) {}

  // By the files at its top: oci-layout and index.json; manifest.json; else a plain tree.
  ImageKind kind() const;

  Result<std::string> read_top(const std::string& name) const;            // one of those three
  Result<std::string> read_document(const Descriptor& descriptor) const;  // verified
  // Verified, the first time.
  Result<sys::UniqueFd> open_layer(const Descriptor& descriptor) const;
  // Of `docker save`: names instead of descriptors. A name that is a digest is verified.
  Result<std::string> read_saved(const std::string& name) const;
  Result<sys::UniqueFd> open_saved(const std::string& name) const;

 private:
  Result<sys::UniqueFd> open_file(const std::string& path) const;
  Result<sys::UniqueFd> open_blob(const Descriptor& descriptor) const;

  int folder_;
  mutable std::set<std::string> verified_;  // an image may name one blob very often
};

}  // namespace tare::snapshot
