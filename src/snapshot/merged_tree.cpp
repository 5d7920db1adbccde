#include "snapshot/merged_tree.h"

#include <unordered_map>
#include <utility>

namespace tare::snapshot {

// Takes out what lower layers have below the path, and at it.
void MergedTree::hide(const std::string& path) {
  auto at = entries_.lower_bound(path);
  while (at != entries_.end() && is_at_or_below(at->first, path)) at = entries_.erase(at);
}

void MergedTree::lay(const Manifest& layer) {
  std::unordered_map<std::string_view, const ManifestEntry*> files;  // of this layer
  for (const ManifestEntry& one : layer.entries) {
    if (one.type == EntryType::whiteout) {
      hide(one.path);
      continue;
    }
    const auto below = entries_.find(one.path);
    const bool merges = one.type == EntryType::directory && below != entries_.end() &&
                        below->second.entry.type == EntryType::directory;
    if (!merges) hide(one.path);
    Entry entry{one, layers_, {}};
    if (one.type == EntryType::file) {
      files[one.path] = &one;
      entry.file = one.path;
    }
    if (one.type == EntryType::hardlink) {
      entry.entry = *files.at(one.target);  // a manifest's links name earlier files of it
      entry.entry.path = one.path;
      entry.file = one.target;
    }
    entries_[one.path] = std::move(entry);
  }
  ++layers_;
}

SeenTree MergedTree::seen() const {
  SeenTree tree;
  std::map<std::pair<int, std::string_view>, std::string_view> first;  // names of each file
  for (const auto& [path, one] : entries_) {
    ManifestEntry entry = one.entry;
    if (entry.type == EntryType::file) {
      const auto [it, fresh] = first.try_emplace({one.layer, one.file}, path);
      if (!fresh) entry.target = it->second;
    }
    tree.emplace_hint(tree.end(), path, std::move(entry));
  }
  return tree;
}

int MergedTree::layer_of(std::string_view path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? -1 : found->second.layer;
}

}  // namespace tare::snapshot
