// The tree that a list of layers shows, from their manifests: what a program in a sandbox sees of
// them. A layer higher in the list hides entries of lower ones: a folder over a folder takes its
// place and shows what is below both; anything else over anything takes its place with all that was
// below; a whiteout only hides.
//
// Pure. Owner: the caller. Errors: none: a manifest that parses can be laid over any other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/manifest.h"
#include "snapshot/paths.h"

namespace tare::snapshot {

struct EntryPathOrder {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const {
    return compare_entry_paths(a, b) < 0;
  }
};

// An entry as it is seen: never a whiteout. Names of one file are all of the type `file` and have
// its metadata; `target` of all but the first of them is the first one's path.
using SeenTree = std::map<std::string, ManifestEntry, EntryPathOrder>;

class MergedTree {
 public:
  // The next layer, on top of those before.
  void lay(const Manifest& layer);
  // What is seen in the end.
  SeenTree seen() const;
  // Which layer (from 0) the entry is from; -1: it is not seen.
  int layer_of(std::string_view path) const;

 private:
  struct Entry {
    ManifestEntry entry;
    int layer = 0;
    std::string file;  // of names of one file: the path that its layer gives in full
  };
  using Entries = std::map<std::string, Entry, EntryPathOrder>;
  void hide(const std::string& path);

  Entries entries_;
  int layers_ = 0;
};

}  // namespace tare::snapshot
