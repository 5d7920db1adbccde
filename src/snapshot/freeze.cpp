#include "snapshot/freeze.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/text.h"
#include "snapshot/tree_copy.h"
#include "snapshot/tree_walk.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

enum class Found : std::uint8_t {
  folder,
  absent,  // lower layers may have it
  hidden,  // by a whiteout, a file or a symlink, here or on the way: lower layers are not asked
};
struct Place {
  Found found = Found::absent;
  sys::UniqueFd fd;  // of a folder
};

Result<> take_step(LookupBudget* budget) {
  if (budget == nullptr) return ok();
  if (budget->steps == 0) {
    return Error{Errc::exhausted,
                 "too much is hidden, too deep, above too many layers: make fewer layers of it"};
  }
  --budget->steps;
  return ok();
}

Result<Place> folder_in(int root, std::string_view path, LookupBudget* budget) {
  Place place{Found::folder, TRY(sys::open_at(root, ".", kFolder))};
  TRY(take_step(budget));
  while (!path.empty() && path != kRootPath) {
    TRY(take_step(budget));
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string name(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
    const auto status = sys::stat_at(place.fd.get(), name);
    if (!status && status.error().sys == ENOENT) return Place{Found::absent, {}};
    if (!status) return status.error();
    if (!S_ISDIR(status->st_mode)) return Place{Found::hidden, {}};
    place.fd = TRY(sys::open_at(place.fd.get(), name, kFolder));
  }
  return place;
}

class UpperCopy {
 public:
  UpperCopy(const PathSet& opaque, const LowerView& lower, const Freeze& request,
            TreeWriter& writer, const OnProgress& progress, KnownFiles* known)
      : opaque_(opaque),
        lower_(lower),
        request_(request),
        writer_(writer),
        progress_(progress),
        known_(known) {}

  Result<> add(const WalkStep& step);
  CopiedUpper done() && { return std::move(copied_); }

 private:
  bool is_left_out(std::string_view path) const;
  bool is_on_the_way(std::string_view path) const;
  bool hides_all(std::string_view path) const;
  Result<EntryMetadata> metadata(const WalkStep& step, const struct stat& status, int fd) const;
  Result<> add_folder(const WalkStep& step);
  Result<> add_leaf(const WalkStep& step);
  Result<> add_file(const WalkStep& step);
  Result<> hide(const std::string& path);
  Result<> check_length(const std::string& path, std::uint64_t size) const;

  const PathSet& opaque_;
  const LowerView& lower_;
  const Freeze& request_;
  TreeWriter& writer_;
  const OnProgress& progress_;
  KnownFiles* known_;  // may be null
  CopiedUpper copied_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

bool UpperCopy::is_left_out(std::string_view path) const {
  const auto within = [path](std::string_view one) { return is_at_or_below(path, one); };
  if (std::ranges::any_of(request_.without, within)) return true;
  if (request_.only.empty() || path == kRootPath) return false;
  // The folders on the way are kept.
  const auto leads_to = [path](std::string_view one) { return is_at_or_below(one, path); };
  return std::ranges::none_of(request_.only, within) &&
         std::ranges::none_of(request_.only, leads_to);
}

// To one of `only`, and none of them itself.
bool UpperCopy::is_on_the_way(std::string_view path) const {
  return std::ranges::any_of(request_.only, [path](std::string_view one) {
    return one != path && is_at_or_below(one, path);
  });
}

// What is made in a folder that hides all of its own is not marked by itself.
bool UpperCopy::hides_all(std::string_view path) const {
  for (;;) {
    if (opaque_.contains(path)) return true;
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return path != kRootPath && opaque_.contains(kRootPath);
    path = path.substr(0, slash);
  }
}

Result<EntryMetadata> UpperCopy::metadata(const WalkStep& step, const struct stat& status,
                                          int fd) const {
  const auto inside = [&](std::uint32_t id) {
    return id >= request_.owner_base && id - request_.owner_base < request_.owner_count;
  };
  if (!inside(status.st_uid) || !inside(status.st_gid)) {
    return Error{Errc::invalid,
                 "entry " + quote(step.path) + ": its owner is not one of the sandbox's"};
  }
  EntryMetadata metadata{.mode = status.st_mode & 07777,
                         .uid = status.st_uid - request_.owner_base,
                         .gid = status.st_gid - request_.owner_base,
                         .mtime_s = status.st_mtim.tv_sec,
                         .xattrs = {}};
  if (fd < 0) return metadata;
  auto xattrs = kept_xattrs(fd);
  // A tmpfs takes more names than the kernel then lists.
  if (!xattrs && xattrs.error().sys != E2BIG)
    return std::move(xattrs).error().context("entry " + quote(step.path));
  if (!xattrs || xattr_cost(*xattrs) > kMaxXattrCost) {
    return Error{Errc::conflict,
                 fmt::format("entry {}: its extended attributes take more than the {} bytes that "
                             "are kept of one file: remove some of them (`setfattr -x`)",
                             quote(step.path), kMaxXattrCost)};
  }
  metadata.xattrs = std::move(*xattrs);
  return metadata;
}

Result<> UpperCopy::add(const WalkStep& step) {
  if (step.kind == WalkStep::Kind::leave || is_left_out(step.path)) return ok();
  if (progress_) TRY(progress_(writer_.entries(), writer_.bytes()));
  if (step.kind == WalkStep::Kind::unentered) {
    return Error{Errc::invalid, "entry " + quote(step.path) + ": " + std::string(step.trouble)};
  }
  if (step.kind == WalkStep::Kind::enter) return add_folder(step);
  if (!is_on_the_way(step.path)) return add_leaf(step);
  // It is the other part's to say what it has become: this part's layers lie above that.
  copied_.cut.push_back(step.path);
  return ok();
}

Result<> UpperCopy::add_folder(const WalkStep& step) {
  TRY(writer_.add_folder(step.path, TRY(metadata(step, step.status, step.folder))));
  if (!hides_all(step.path)) return ok();
  PathSet below = TRY(lower_.names_in(step.path));
  if (below.empty()) return ok();
  for (const std::string& name : TRY(sys::list_dir(step.folder, "."))) below.erase(name);
  for (const std::string& name : below) TRY(hide(join_entry_path(step.path, name)));
  return ok();
}

Result<> UpperCopy::hide(const std::string& path) {
  return is_left_out(path) ? ok() : writer_.add_whiteout(path);
}

Result<> UpperCopy::add_leaf(const WalkStep& step) {
  if (S_ISREG(step.status.st_mode)) return add_file(step);
  if (S_ISLNK(step.status.st_mode)) {
    return writer_.add_symlink(step.path, TRY(sys::read_link_at(step.parent, step.name)),
                               TRY(metadata(step, step.status, -1)));
  }
  if (sys::is_whiteout(step.status)) {
    return TRY(lower_.shows(step.path)) ? hide(step.path) : ok();
  }
  const bool device = S_ISCHR(step.status.st_mode) || S_ISBLK(step.status.st_mode);
  ++(device ? copied_.dropped.devices : copied_.dropped.specials);
  // It may have taken the place of something: that is gone all the same.
  return TRY(lower_.shows(step.path)) ? hide(step.path) : ok();
}

Result<> UpperCopy::check_length(const std::string& path, std::uint64_t size) const {
  const std::uint64_t limit = max_length(request_.limits);
  if (size <= limit - std::min(writer_.length(), limit)) return ok();
  return Error{Errc::conflict,
               fmt::format("entry {}: it has {} bytes, its holes included; all files together may "
                           "have {}, as a sandbox with this disk limit stands still while they are "
                           "read: make it shorter, or remove it",
                           quote(path), size, format_size(limit))};
}

Result<> UpperCopy::add_file(const WalkStep& step) {
  if (step.status.st_nlink > 1) {
    const auto first = linked_.find({step.status.st_dev, step.status.st_ino});
    if (first != linked_.end()) return writer_.add_hardlink(step.path, first->second);
  }
  const sys::UniqueFd from = TRY(
      sys::open_at(step.parent, step.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  const struct stat status = TRY(sys::stat_fd(from.get()));
  if (!S_ISREG(status.st_mode)) {
    return Error{Errc::conflict, "entry " + quote(step.path) + ": changed while it was read"};
  }
  const EntryMetadata metadata_now = TRY(metadata(step, status, from.get()));
  const auto size = static_cast<std::uint64_t>(status.st_size);
  TRY(check_length(step.path, size));
  if (known_ != nullptr && status.st_nlink == 1 &&
      TRY(known_->has(step.path, from.get(), size, metadata_now, progress_)) &&
      TRY(writer_.link_known(step.path, known_->root(), size))) {
    copied_.known.files.emplace(step.path, known_->content(step.path));
    return ok();
  }
  TreeWriter::File file = TRY(writer_.begin_file(step.path));
  TRY(copy_content(from.get(), writer_, file, size, progress_));
  TRY(writer_.finish_file(file, size, metadata_now));
  if (status.st_nlink > 1) linked_[{status.st_dev, status.st_ino}] = step.path;
  return ok();
}

}  // namespace

std::uint64_t max_length(const TreeLimits& limits) {
  const std::uint64_t holes = std::max(limits.max_bytes, kFreeHoleBytes);
  return holes > UINT64_MAX - limits.max_bytes ? UINT64_MAX : holes + limits.max_bytes;
}

Result<PathSet> parse_opaque(std::string_view text) {
  PathSet paths;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos)
      return Error{Errc::invalid, "opaque folders: the last path has no end"};
    const std::string_view path = text.substr(0, end);
    text.remove_prefix(end + 1);
    TRY(check_entry_path(path).context("opaque folders"));
    paths.emplace(path);
  }
  return paths;
}

Result<LowerView::Seen> LowerView::seen(const std::string& path) const {
  for (const sys::UniqueFd& root : roots_) {
    if (path == kRootPath)
      return Seen{Seen::Kind::folder, TRY(sys::open_at(root.get(), ".", kFolder))};
    const auto [parent, name] = split_entry_path(path);
    const Place place = TRY(folder_in(root.get(), parent, budget_));
    if (place.found == Found::absent) continue;
    if (place.found == Found::hidden) return Seen{};
    const auto status = sys::stat_at(place.fd.get(), name);
    if (!status && status.error().sys == ENOENT) continue;
    if (!status) return status.error();
    if (sys::is_whiteout(*status)) return Seen{};
    if (!S_ISDIR(status->st_mode)) return Seen{Seen::Kind::other, {}};
    return Seen{Seen::Kind::folder, TRY(sys::open_at(place.fd.get(), name, kFolder))};
  }
  return Seen{};
}

Result<std::string> LowerView::read_file(const std::string& path, std::size_t max_bytes) const {
  const auto [parent, name] = split_entry_path(path);
  for (const sys::UniqueFd& root : roots_) {
    const Place place = TRY(folder_in(root.get(), parent, budget_));
    if (place.found == Found::absent) continue;
    if (place.found == Found::hidden) return std::string();
    const auto status = sys::stat_at(place.fd.get(), name);
    if (!status && status.error().sys == ENOENT) continue;
    if (!status) return status.error();
    if (!S_ISREG(status->st_mode)) return std::string();
    const sys::UniqueFd file = TRY(
        sys::open_at(place.fd.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    return sys::read_all(file.get(), max_bytes).context(quote(path));
  }
  return std::string();
}

Result<bool> LowerView::shows(const std::string& path) const {
  const auto [parent, name] = split_entry_path(path);
  for (const sys::UniqueFd& root : roots_) {
    const Place place = TRY(folder_in(root.get(), parent, budget_));
    if (place.found == Found::absent) continue;
    if (place.found == Found::hidden) return false;
    const auto status = sys::stat_at(place.fd.get(), name);
    if (status) return !sys::is_whiteout(*status);
    if (status.error().sys != ENOENT) return status.error();
  }
  return false;
}

Result<PathSet> LowerView::names_in(const std::string& path) const {
  PathSet shown, hidden;
  for (const sys::UniqueFd& root : roots_) {
    const Place place = TRY(folder_in(root.get(), path, budget_));
    if (place.found == Found::absent) continue;
    if (place.found == Found::hidden) break;
    for (const std::string& name : TRY(sys::list_dir(place.fd.get(), "."))) {
      if (shown.contains(name) || hidden.contains(name)) continue;
      const auto status = TRY(sys::stat_at(place.fd.get(), name));
      (sys::is_whiteout(status) ? hidden : shown).insert(name);
    }
  }
  return shown;
}

Result<CopiedUpper> copy_upper(int upper, const PathSet& opaque, const LowerView& lower,
                               const Freeze& request, TreeWriter& writer,
                               const OnProgress& progress, KnownFiles* known) {
  UpperCopy copy(opaque, lower, request, writer, progress, known);
  TreeWalk walk = TRY(TreeWalk::start(upper));
  while (const auto step = TRY(walk.next())) TRY(copy.add(*step));
  TRY(writer.finish());
  return std::move(copy).done();
}

}  // namespace tare::snapshot
