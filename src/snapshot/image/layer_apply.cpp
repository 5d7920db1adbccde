#include "snapshot/image/layer_apply.h"

#include <fcntl.h>

#include "base/hash.h"
#include "base/text.h"
#include "snapshot/tar_stream.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

using Seen = LowerView::Seen;

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

Error in_the_way(std::string_view path) {
  return Error{Errc::invalid, "entry " + quote(path) +
                                  ": something on the way to it is a symlink or no folder in a "
                                  "layer below"};
}

EntryMetadata implicit_folder() {
  EntryMetadata metadata;
  metadata.mtime_s = kImplicitMtime;
  return metadata;
}

Result<EntryMetadata> metadata_of(int folder) {
  const struct stat status = TRY(sys::stat_fd(folder));
  EntryMetadata metadata{.mode = status.st_mode & 07777,
                         .uid = status.st_uid,
                         .gid = status.st_gid,
                         .mtime_s = status.st_mtim.tv_sec,
                         .xattrs = TRY(kept_xattrs(folder))};
  return metadata;
}

// A folder that no entry has named so far.
Result<EntryMetadata> inherited(const LowerView& lower, const std::string& path) {
  const Seen seen = TRY(lower.seen(path));
  if (seen.kind == Seen::Kind::other) return in_the_way(path);
  return seen.kind == Seen::Kind::folder ? metadata_of(seen.folder.get()) : implicit_folder();
}

// The whiteouts of a layer whose entries are all made.
class Marks {
 public:
  Marks(LowerView own, const LowerView& lower, TreeWriter& writer)
      : own_(std::move(own)), lower_(lower), writer_(writer) {}

  Result<> hide(const std::string& path);
  Result<> hide_all_in(const std::string& folder);

 private:
  Result<bool> reaches(const std::string& path);
  Result<bool> leads_on(const std::string& folder, const std::string& path) const;
  void forget_below(const std::string& path);

  // A folder on the way to the path before, and whether the layers below have anything in it.
  struct Step {
    std::string folder;
    bool leads_on = false;
  };

  const LowerView own_;
  const LowerView& lower_;
  TreeWriter& writer_;
  PathSet hidden_;
  std::vector<Step> way_;
};

// False: nothing of the layers below can be there. An error: a symlink is on the way. Paths come in
// their order: what is known of the way to the one before is mostly that of the next.
Result<bool> Marks::reaches(const std::string& path) {
  while (!way_.empty() && (path == way_.back().folder || !is_at_or_below(path, way_.back().folder)))
    way_.pop_back();
  std::size_t from = way_.empty() ? 0 : way_.back().folder.size() + 1;
  if (!way_.empty() && !way_.back().leads_on) return false;
  for (std::size_t slash = path.find('/', from); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    std::string folder = path.substr(0, slash);
    const bool on = TRY(leads_on(folder, path));
    way_.push_back({std::move(folder), on});
    if (!on) return false;
  }
  return true;
}

Result<bool> Marks::leads_on(const std::string& folder, const std::string& path) const {
  if (hidden_.contains(folder)) return false;
  const Seen own = TRY(own_.seen(folder));
  if (own.kind == Seen::Kind::other) return in_the_way(path);
  const Seen below = TRY(lower_.seen(folder));
  if (own.kind == Seen::Kind::nothing && below.kind == Seen::Kind::other) return in_the_way(path);
  return below.kind == Seen::Kind::folder;
}

// It is hidden from now on.
void Marks::forget_below(const std::string& path) {
  while (!way_.empty() && is_at_or_below(way_.back().folder, path)) way_.pop_back();
}

Result<> Marks::hide(const std::string& path) {
  if (!TRY(reaches(path))) return ok();
  const Seen own = TRY(own_.seen(path));
  if (own.kind == Seen::Kind::folder) return hide_all_in(path);
  if (own.kind == Seen::Kind::other || !TRY(lower_.shows(path))) return ok();
  if (!hidden_.insert(path).second) return ok();
  forget_below(path);
  return writer_.add_whiteout(path);
}

Result<> Marks::hide_all_in(const std::string& folder) {
  if (!TRY(reaches(folder))) return ok();
  const Seen::Kind own = TRY(own_.seen(folder)).kind;
  const Seen::Kind below = TRY(lower_.seen(folder)).kind;
  if (own == Seen::Kind::other || (own == Seen::Kind::nothing && below == Seen::Kind::other))
    return in_the_way(folder);
  if (below != Seen::Kind::folder) return ok();
  for (const std::string& name : TRY(lower_.names_in(folder)))
    TRY(hide(join_entry_path(folder, name)));
  return ok();
}

Result<> check_diff_id(Sha256& hash, const std::string& diff_id) {
  const std::string found = digest_text(hash.finish());
  if (found == diff_id) return ok();
  return Error{Errc::invalid,
               "layer: unpacked it is " + found + ", the configuration says " + diff_id};
}

}  // namespace

Result<AppliedLayer> apply_layer(const LayerBlob& blob, int root, const LowerView& lower,
                                 const TreeLimits& limits, const OnProgress& progress) {
  TreeWriter writer(TRY(sys::open_at(root, ".", kFolder)), limits);
  const auto implicit = [&](const std::string& path) { return inherited(lower, path); };
  writer.on_implicit_folder(implicit);
  TRY(writer.add_folder(kRootPath, TRY(implicit(std::string(kRootPath)))));

  Sha256 hash;
  TarStream stream = TRY(TarStream::open(blob.fd, blob.max_stream_bytes, blob.compression, &hash));
  LayerMarks marks;
  AppliedLayer applied;
  applied.dropped = TRY(import_tar(stream, writer, limits, {.marks = &marks}, progress));
  TRY(check_diff_id(hash, blob.diff_id));
  applied.empty = marks.headers == 0;

  std::vector<sys::UniqueFd> own;
  own.push_back(TRY(sys::open_at(root, ".", kFolder)));
  Marks whiteouts(LowerView(std::move(own)), lower, writer);
  for (const std::string& path : marks.hidden) TRY(whiteouts.hide(path));
  for (const std::string& folder : marks.opaque) TRY(whiteouts.hide_all_in(folder));
  TRY(writer.finish());
  applied.entries = writer.entries();
  applied.length = writer.length();
  applied.stream_bytes = stream.total();
  return applied;
}

}  // namespace tare::snapshot
