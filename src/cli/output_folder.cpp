#include "cli/output_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/core.h>

#include "base/limits.h"
#include "base/text.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {

Result<> check_artifact_path(std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return Error{Errc::denied, fmt::format("artifact {}: {}", quote(path), why)};
  };
  if (path.empty()) return refuse("the name is empty");
  if (path.size() > kMaxPathBytes) return refuse("the name is too long");
  if (path.find('\0') != std::string_view::npos) return refuse("the name holds a NUL");
  std::size_t count = 0;
  bool plain = true;
  for (const std::string_view name : split(path, '/')) {
    ++count;
    plain = plain && !name.empty() && name != "." && name != ".." &&
            name.size() <= kMaxPathComponentBytes;
  }
  if (count > kMaxPathComponents) return refuse("too many folders deep");
  if (!plain) return refuse("not a plain relative path");
  return ok();
}

bool link_stays_inside(std::string_view path, std::string_view target) {
  if (target.empty() || target.front() == '/' || target.size() > kMaxPathBytes) return false;
  if (target.find('\0') != std::string_view::npos) return false;
  std::size_t depth = 0;  // folders between the root and the link
  for (const char c : path) depth += c == '/' ? 1 : 0;
  bool after_name = false;
  for (const std::string_view name : split(target, '/')) {
    if (name.empty() || name == ".") continue;
    if (name != "..") {
      after_name = true;
      continue;
    }
    // ".." after a name would go up from wherever that name, perhaps a link itself, leads.
    if (after_name || depth == 0) return false;
    --depth;
  }
  return true;
}

Result<OutputFolder> OutputFolder::open(const std::string& path, Random& random) {
  TRY(sys::ensure_dir_at(sys::kCwd, path, 0777).context("--out"));
  auto root = TRY(sys::open_at(sys::kCwd, path, O_RDONLY | O_DIRECTORY).context("--out"));
  return OutputFolder(std::move(root), random);
}

Result<OutputFolder::Place> OutputFolder::place_of(std::string_view path) const {
  TRY(check_artifact_path(path));
  const auto slash = path.rfind('/');
  const std::string_view folder = slash == std::string_view::npos ? "." : path.substr(0, slash);
  auto parent = sys::open_beneath(root_.get(), folder, O_RDONLY | O_DIRECTORY);
  if (!parent) return std::move(parent).error().context(fmt::format("artifact {}", quote(path)));
  return Place{std::move(parent).value(), std::string(path.substr(slash + 1))};
}

Result<OutputFolder::Place> OutputFolder::free_place(std::string_view path) const {
  Place place = TRY(place_of(path));
  const auto there = sys::stat_at(place.parent.get(), place.name);
  if (there && !S_ISREG(there->st_mode) && !S_ISLNK(there->st_mode)) {
    return Error{Errc::conflict, fmt::format("artifact {}: what has this name here is no file, and "
                                             "is not replaced",
                                             quote(path))};
  }
  return place;
}

Result<> OutputFolder::make_folder(std::string_view path, unsigned mode) {
  const Place place = TRY(place_of(path));
  // Its owner must be able to fill it.
  return sys::ensure_dir_at(place.parent.get(), place.name, (mode & kPermissionBits) | 0700)
      .context(fmt::format("artifact {}", quote(path)));
}

Result<NewFile> OutputFolder::create_file(std::string_view path) {
  Place place = TRY(free_place(path));
  return NewFile::make(std::move(place.parent), std::move(place.name),
                       fmt::format("artifact {}", quote(path)), *random_);
}

Result<> OutputFolder::make_symlink(std::string_view path, const std::string& target) {
  if (!link_stays_inside(path, target)) {
    return Error{Errc::denied, fmt::format("artifact {}: a link to {}, which may be outside",
                                           quote(path), quote(target))};
  }
  const Place place = TRY(free_place(path));
  const std::string temporary = temporary_name(*random_);
  TRY(sys::make_symlink_at(place.parent.get(), temporary, target));
  auto renamed = sys::rename_at(place.parent.get(), temporary, place.parent.get(), place.name);
  if (renamed) return ok();
  static_cast<void>(sys::remove_at(place.parent.get(), temporary));
  return std::move(renamed).error().context(fmt::format("artifact {}", quote(path)));
}

}  // namespace tare::cli
