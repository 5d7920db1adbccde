#include "snapshot/image/image_import.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>

#include "base/hash.h"
#include "base/tar_header.h"
#include "snapshot/image/layer_apply.h"
#include "snapshot/image/users.h"
#include "snapshot/tar_stream.h"
#include "sys/files.h"
#include "sys/memfd.h"

namespace tare::snapshot {

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY;
// Folders that are gone through to see what the layers below have: some minutes of work.
constexpr std::uint64_t kMaxLookupSteps = 100'000'000;

Result<sys::UniqueFd> make_root(int stage, const std::string& name) {
  TRY(sys::make_dir_at(stage, name, 0700));
  TRY(sys::make_dir_at(stage, name + "/root", 0700));
  return sys::open_beneath(stage, name + "/root", kFolder);
}

class ImageImport {
 public:
  ImageImport(int stage, const TreeLimits& limits, const OnProgress& progress)
      : stage_(stage), limits_(limits), progress_(progress) {}

  // What kind of archive it was.
  Result<ImageKind> unpack_archive(int archive, ImageFormat format);
  Result<> unpack_image(const ImageLayout& layout, const ChosenImage& image);
  int archive_root() const { return archive_root_.get(); }
  UnpackedImage take() { return std::move(out_); }

 private:
  Result<> apply(std::size_t number, sys::UniqueFd blob, const LayerSource& layer);
  Result<bool> lacks_folder(const std::string& path) const;
  Result<> make_workdir();
  Result<LowerView> layers_so_far() const;
  Result<> resolve_user();

  int stage_;
  const TreeLimits& limits_;
  const OnProgress& progress_;
  sys::UniqueFd archive_root_;
  std::uint64_t archive_entries_ = 0, archive_bytes_ = 0;
  std::uint64_t entries_ = 0, length_ = 0, streamed_ = 0;  // of all layers so far
  mutable LookupBudget lookups_{kMaxLookupSteps};
  UnpackedImage out_;
};

Result<ImageKind> ImageImport::unpack_archive(int archive, ImageFormat format) {
  archive_root_ = TRY(make_root(stage_, std::string(kArchiveStage)));
  const TreeLimits limits = archive_limits(limits_, format);
  TreeWriter writer(TRY(sys::open_at(archive_root_.get(), ".", kFolder)), limits);
  EntryMetadata root;
  root.mtime_s = kImplicitMtime;
  TRY(writer.add_folder(kRootPath, root));  // the archive's own entry for it, if any, comes later
  TreeRules tree{limits_, {}};
  TarStream stream = TRY(TarStream::open(archive, stream_limit(limits)));
  const TarRules rules{.tree = format == ImageFormat::tree ? nullptr : &tree};
  out_.dropped = TRY(import_tar(stream, writer, limits, rules, progress_));
  TRY(writer.finish());
  archive_entries_ = writer.entries();
  archive_bytes_ = writer.bytes();
  out_.kind = format == ImageFormat::tree ? ImageKind::tree
                                          : ImageLayout(archive_root_.get()).kind();
  if (out_.kind == ImageKind::tree && format == ImageFormat::image) {
    return Error{Errc::invalid,
                 "archive: it is no image: neither oci-layout and index.json nor manifest.json is "
                 "in it; leave --format out for a tar of a root file system"};
  }
  if (out_.kind == ImageKind::tree && tree.fault) return std::move(*tree.fault);
  if (out_.kind == ImageKind::tree) out_.stages.emplace_back(kArchiveStage);
  return out_.kind;
}

Result<LowerView> ImageImport::layers_so_far() const {
  std::vector<sys::UniqueFd> roots;
  for (auto name = out_.stages.rbegin(); name != out_.stages.rend(); ++name)
    roots.push_back(TRY(sys::open_beneath(stage_, *name + "/root", kFolder)));
  return LowerView(std::move(roots), &lookups_);
}

Result<> ImageImport::apply(std::size_t number, sys::UniqueFd blob, const LayerSource& layer) {
  const std::string name = std::to_string(number);
  const sys::UniqueFd root = TRY(make_root(stage_, name));
  const TreeLimits left{.max_entries = limits_.max_entries - entries_,
                        .max_bytes = limits_.max_bytes - length_,
                        .max_file_bytes = limits_.max_file_bytes};
  const OnProgress in_all = [this](std::uint64_t entries, std::uint64_t bytes) -> Result<> {
    if (!progress_) return ok();
    return progress_(archive_entries_ + entries_ + entries, archive_bytes_ + length_ + bytes);
  };
  const LowerView lower = TRY(layers_so_far());
  const LayerBlob packed{
      .fd = blob.get(),
      .compression = layer.file.empty() ? layer.blob.type.compression : Compression::any,
      .diff_id = layer.diff_id,
      .max_stream_bytes = stream_limit(limits_) - streamed_};
  const AppliedLayer applied = TRY(apply_layer(packed, root.get(), lower, left, in_all));
  entries_ += applied.entries;
  length_ += applied.length;
  streamed_ += applied.stream_bytes;
  out_.dropped.devices += applied.dropped.devices;
  out_.dropped.specials += applied.dropped.specials;
  out_.dropped.xattrs += applied.dropped.xattrs;
  if (applied.empty) return sys::remove_tree_at(stage_, name);
  out_.stages.push_back(name);
  return ok();
}

Result<> ImageImport::resolve_user() {
  if (out_.config.user.empty()) return ok();
  const LowerView view = TRY(layers_so_far());
  const ImageIds ids = TRY(ids_of_user(out_.config.user,
                                       TRY(view.read_file("etc/passwd", kMaxAccountFileBytes)),
                                       TRY(view.read_file("etc/group", kMaxAccountFileBytes))));
  out_.config.uid = ids.uid;
  out_.config.gid = ids.gid;
  return ok();
}

// False also when a symlink or file is on the way: what is meant is the image's own affair then.
Result<bool> ImageImport::lacks_folder(const std::string& path) const {
  const LowerView view = TRY(layers_so_far());
  for (std::size_t slash = 0; slash != std::string::npos;) {
    slash = path.find('/', slash + 1);
    const auto kind = TRY(view.seen(path.substr(0, slash))).kind;
    if (kind == LowerView::Seen::Kind::nothing) return true;
    if (kind == LowerView::Seen::Kind::other) return false;
  }
  return false;
}

// One that is not there is made, as other programs make it when they begin to run the image: a
// layer of its own, which an export has, too.
Result<> ImageImport::make_workdir() {
  const auto path = clean_entry_path(
      out_.config.workdir.substr(std::min<std::size_t>(1, out_.config.workdir.size())));
  if (out_.config.workdir.empty() || !path || *path == kRootPath) return ok();
  if (out_.stages.size() >= kMaxImageLayers || !TRY(lacks_folder(*path))) return ok();
  TarHeader folder;
  folder.name = *path + "/";
  folder.type = TarType::folder;
  folder.mode = 0755;
  folder.mtime_s = static_cast<std::uint64_t>(kImplicitMtime);
  const std::string layer = tar_header(folder) + std::string(kTarEndBytes, '\0');
  sys::UniqueFd blob = TRY(sys::sealed_memfd("workdir", layer, false));
  const LayerSource source{.blob = {}, .file = "WorkingDir", .diff_id = sha256_text(layer)};
  return apply(kMaxImageLayers + 1, std::move(blob), source).context("WorkingDir");
}

Result<> ImageImport::unpack_image(const ImageLayout& layout, const ChosenImage& image) {
  out_.dropped = {};  // the archive itself is thrown away
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    const LayerSource& layer = image.layers[i];
    const auto context = "layer " + std::to_string(i + 1) + " of the image";
    auto blob = layer.file.empty() ? layout.open_layer(layer.blob) : layout.open_saved(layer.file);
    if (!blob) return std::move(blob).error().context(context);
    TRY(apply(i + 1, std::move(*blob), layer).context(context));
  }
  if (out_.stages.empty())
    return Error{Errc::invalid, "image: it has no files: choose another one"};
  out_.config = image.document.config;
  TRY(make_workdir());
  return resolve_user();
}

}  // namespace

TreeLimits archive_limits(const TreeLimits& limits, ImageFormat format) {
  if (format == ImageFormat::tree) return limits;
  const std::uint64_t all = stream_limit(limits);
  return {.max_entries = limits.max_entries, .max_bytes = all, .max_file_bytes = all};
}

Result<UnpackedImage> import_image(int archive, int stage, ImageFormat format,
                                   const ImageWish& wish, const TreeLimits& limits,
                                   const OnProgress& progress) {
  ImageImport import(stage, limits, progress);
  const ImageKind kind = TRY(import.unpack_archive(archive, format));
  if (kind == ImageKind::tree) return import.take();
  const ImageLayout layout(import.archive_root());
  const ChosenImage image = TRY(kind == ImageKind::oci ? choose_oci(layout, wish)
                                                       : choose_saved(layout, wish));
  TRY(import.unpack_image(layout, image));
  return import.take();
}

}  // namespace tare::snapshot
