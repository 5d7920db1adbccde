#include "snapshot/flatten.h"

#include <fcntl.h>

#include <algorithm>

#include "base/text.h"
#include "snapshot/tree_copy.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

EntryMetadata metadata_of(const ManifestEntry& entry) {
  EntryMetadata metadata{.mode = entry.mode,
                         .uid = entry.uid,
                         .gid = entry.gid,
                         .mtime_s = entry.mtime_s,
                         .xattrs = {}};
  for (const ManifestXattr& one : entry.xattrs) metadata.xattrs.push_back({one.name, one.value});
  return metadata;
}

Result<> write_file(const ManifestEntry& entry, int root, TreeWriter& writer,
                    const OnProgress& progress) {
  const sys::UniqueFd from = TRY(
      sys::open_beneath(root, entry.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
          .context("entry " + quote(entry.path)));
  TreeWriter::File file = TRY(writer.begin_file(entry.path));
  TRY(copy_content(from.get(), writer, file, entry.size, progress));
  return writer.finish_file(file, entry.size, metadata_of(entry));
}

}  // namespace

FlatTree flat_tree(const std::vector<Manifest>& layers, std::size_t kept,
                   const std::vector<std::string>& without) {
  CHECK(kept < layers.size());
  MergedTree merged;
  for (std::size_t i = 0; i < kept; ++i) merged.lay(layers[i]);
  const SeenTree below = merged.seen();
  for (std::size_t i = kept; i < layers.size(); ++i) merged.lay(layers[i]);
  const SeenTree seen = merged.seen();
  const auto is_left_out = [&](const std::string& path) {
    return std::ranges::any_of(without,
                               [&](const std::string& one) { return is_at_or_below(path, one); });
  };
  FlatTree flat;
  for (const auto& [path, entry] : seen) {
    const int layer = merged.layer_of(path);
    if (layer < static_cast<int>(kept) || is_left_out(path)) continue;
    FlatEntry one{entry, layer};
    if (entry.type == EntryType::file && !entry.target.empty()) {
      one.entry = ManifestEntry{};
      one.entry.type = EntryType::hardlink;
      one.entry.path = path;
      one.entry.target = entry.target;
    }
    flat.emplace_hint(flat.end(), path, std::move(one));
  }
  for (const auto& [path, entry] : below) {
    if (path == kRootPath || seen.contains(path) || is_left_out(path)) continue;
    const auto parent = seen.find(split_entry_path(path).first);
    if (parent == seen.end() || parent->second.type != EntryType::directory) continue;
    FlatEntry whiteout;
    whiteout.entry.type = EntryType::whiteout;
    whiteout.entry.path = path;
    flat.emplace(path, std::move(whiteout));
  }
  return flat;
}

Result<Sha256Digest> digest_of(const FlatTree& tree) {
  ManifestWriter writer([](std::string_view) { return ok(); });
  for (const auto& [path, one] : tree) TRY(writer.add(one.entry));
  return TRY(writer.finish()).digest;
}

Result<> write_flat(const FlatTree& tree, const std::vector<sys::UniqueFd>& roots,
                    TreeWriter& writer, const OnProgress& progress) {
  for (const auto& [path, one] : tree) {
    if (progress) TRY(progress(writer.entries(), writer.bytes()));
    switch (one.entry.type) {
      case EntryType::directory: TRY(writer.add_folder(path, metadata_of(one.entry))); break;
      case EntryType::file:
        TRY(write_file(one.entry, roots[static_cast<std::size_t>(one.layer)].get(), writer,
                       progress));
        break;
      case EntryType::symlink:
        TRY(writer.add_symlink(path, one.entry.target, metadata_of(one.entry)));
        break;
      case EntryType::hardlink: TRY(writer.add_hardlink(path, one.entry.target)); break;
      case EntryType::whiteout: TRY(writer.add_whiteout(path)); break;
    }
  }
  return writer.finish();
}

}  // namespace tare::snapshot
