// Many layers as few: what lies above the lowest `kept` of a list becomes one layer which, laid on
// them, shows the same as all of it (merged_tree.h is the rule). Whiteouts are kept where they hide
// something of those below.
//
// What the layer must be follows from the manifests alone; it is made from the layers' files, and
// published only if it came out as that (a damaged layer is never made to look sound). Owner: one
// job. Errors: Errc::invalid for a layer that is not as its manifest says; those of TreeWriter.
// Threads: one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/merged_tree.h"
#include "snapshot/tree_manifest.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

struct FlatEntry {
  ManifestEntry entry;  // as in the new layer: further names of a file are hard links
  int layer = -1;       // which has it; -1: a whiteout
};
using FlatTree = std::map<std::string, FlatEntry, EntryPathOrder>;

// `layers`: lowest first. Nothing at or below the paths of `without` is in it. Pure.
FlatTree flat_tree(const std::vector<Manifest>& layers, std::size_t kept,
                   const std::vector<std::string>& without = {});
// The manifest's digest.
Result<Sha256Digest> digest_of(const FlatTree& tree);
// `roots`: of the layers, in the same order.
Result<> write_flat(const FlatTree& tree, const std::vector<sys::UniqueFd>& roots,
                    TreeWriter& writer, const OnProgress& progress);

}  // namespace tare::snapshot
