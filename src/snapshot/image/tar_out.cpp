#include "snapshot/image/tar_out.h"

#include <fcntl.h>

#include <algorithm>

#include "base/tar_header.h"
#include "base/text.h"
#include "snapshot/merged_tree.h"
#include "snapshot/tree_writer.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::string_view kWhiteout = ".wh.";

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class TarOut {
 public:
  TarOut(const ByteSink& sink, const OnProgress& progress) : sink_(sink), progress_(progress) {}

  // `root`: of the layer that the content is in.
  Result<> add(const ManifestEntry& entry, int root);
  Result<> add_whiteout(const std::string& path);
  Result<> finish() { return sink_(bytes_of(std::string(kTarEndBytes, '\0'))); }

 private:
  Result<> add_content(const ManifestEntry& entry, int root);
  Result<> tell() { return progress_ ? progress_(entries_, bytes_) : ok(); }

  const ByteSink& sink_;
  const OnProgress& progress_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kReadBytes);
  std::uint64_t entries_ = 0, bytes_ = 0;
};

TarHeader header_of(const ManifestEntry& entry) {
  TarHeader header;
  header.name = entry.path;
  header.mode = entry.mode;
  header.uid = entry.uid;
  header.gid = entry.gid;
  header.mtime_s = static_cast<std::uint64_t>(entry.mtime_s);
  for (const ManifestXattr& one : entry.xattrs) header.xattrs.emplace_back(one.name, one.value);
  switch (entry.type) {
    case EntryType::directory:
      header.type = TarType::folder;
      header.name = entry.path == kRootPath ? "./" : entry.path + "/";
      break;
    case EntryType::symlink:
      header.type = TarType::symlink;
      header.mode = 0777;
      header.link = entry.target;
      break;
    case EntryType::hardlink:
      header.type = TarType::hardlink;
      header.link = entry.target;
      break;
    case EntryType::file: header.size = entry.size; break;
    case EntryType::whiteout: break;  // not of this kind
  }
  return header;
}

Result<> TarOut::add(const ManifestEntry& entry, int root) {
  ++entries_;
  TRY(tell());
  TRY(sink_(bytes_of(tar_header(header_of(entry)))));
  return entry.type == EntryType::file ? add_content(entry, root) : ok();
}

Result<> TarOut::add_content(const ManifestEntry& entry, int root) {
  const Error changed{Errc::conflict, "entry " + quote(entry.path) +
                                          ": it is not as the manifest says; `tare env "
                                          "verify` tells more"};
  auto file = sys::open_beneath(root, entry.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return std::move(file).error().context("entry " + quote(entry.path));
  const struct stat status = TRY(sys::stat_fd(file->get()));
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != entry.size)
    return changed;
  Sha256 hash;
  for (std::uint64_t offset = 0; offset < entry.size;) {
    const auto into = std::span(buffer_).first(
        std::min<std::uint64_t>(buffer_.size(), entry.size - offset));
    const std::size_t n = TRY(sys::read_at(file->get(), into, offset));
    if (n == 0) return changed;
    hash.update(into.first(n));
    TRY(sink_(into.first(n)));
    offset += n;
    bytes_ += n;
    TRY(tell());
  }
  if (hash.finish() != entry.content) return changed;
  return sink_(bytes_of(tar_padding(entry.size)));
}

Result<> TarOut::add_whiteout(const std::string& path) {
  const auto [parent, name] = split_entry_path(path);
  TarHeader header;
  header.name = std::string(kWhiteout) + name;
  if (header.name.size() > kMaxEntryNameBytes) {
    return Error{Errc::invalid, "entry " + quote(path) +
                                    ": it is hidden, and its name is too long for an OCI whiteout; "
                                    "export with --format tar"};
  }
  header.name = join_entry_path(parent, header.name);
  header.mode = 0;
  header.mtime_s = static_cast<std::uint64_t>(kImplicitMtime);
  return sink_(bytes_of(tar_header(header)));
}

}  // namespace

Result<> write_layer_tar(const StoredLayer& layer, const ByteSink& sink,
                         const OnProgress& progress) {
  TarOut out(sink, progress);
  for (const ManifestEntry& entry : layer.manifest.entries) {
    if (entry.type == EntryType::whiteout) {
      TRY(out.add_whiteout(entry.path));
      continue;
    }
    if (entry.path != kRootPath && split_entry_path(entry.path).second.starts_with(kWhiteout)) {
      return Error{Errc::invalid, "entry " + quote(entry.path) +
                                      ": in an OCI image its name would hide another; export with "
                                      "--format tar"};
    }
    TRY(out.add(entry, layer.root.get()));
  }
  return out.finish();
}

Result<> write_merged_tar(const std::vector<StoredLayer>& layers, const ByteSink& sink,
                          const OnProgress& progress) {
  MergedTree merged;
  for (const StoredLayer& layer : layers) merged.lay(layer.manifest);
  TarOut out(sink, progress);
  for (auto [path, entry] : merged.seen()) {
    const bool again = entry.type == EntryType::file && !entry.target.empty();
    if (again) entry.type = EntryType::hardlink;
    const int layer = merged.layer_of(path);
    TRY(out.add(entry, layers[static_cast<std::size_t>(layer)].root.get()));
  }
  return out.finish();
}

}  // namespace tare::snapshot
