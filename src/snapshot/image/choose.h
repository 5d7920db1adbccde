// Which image of an archive is meant: by platform (this machine's, unless another is asked for) and
// by name. Exactly one must remain; else the refusal lists what there is.
//
// Reads documents through the layout, at most kMaxVisitedDocuments of them, indexes within indexes
// at most kMaxIndexDepth deep. Errors: Errc::invalid. Threads: one.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/image/layout.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxVisitedDocuments = 256;
inline constexpr std::size_t kMaxIndexDepth = 4;

struct ImageWish {
  std::string platform = {};   // "linux/arm64"; "": this machine's
  std::string reference = {};  // name within the archive; "": any
};

// A layer's bytes, and what they unpack to.
struct LayerSource {
  Descriptor blob;        // of OCI
  std::string file = {};  // of Docker: its name instead
  std::string diff_id = {};
};
struct ChosenImage {
  ImageDocument document;
  std::vector<LayerSource> layers;  // lowest first
};

Result<ChosenImage> choose_oci(const ImageLayout& layout, const ImageWish& wish);
Result<ChosenImage> choose_saved(const ImageLayout& layout, const ImageWish& wish);

}  // namespace tare::snapshot
