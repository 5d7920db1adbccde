#include "snapshot/tree_walk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

bool vanished(const Error& error) {
  return error.sys == ENOENT || error.sys == ENOTDIR || error.sys == ELOOP;
}

}  // namespace

Result<TreeWalk> TreeWalk::start(int root, std::size_t max_names_per_folder) {
  sys::UniqueFd own = TRY(sys::open_at(root, ".", kFolderFlags));
  WalkStep step;
  step.kind = WalkStep::Kind::enter;
  step.path = kRootPath;
  step.status = TRY(sys::stat_fd(own.get()));
  TreeWalk walk(step.status.st_dev, max_names_per_folder);
  auto names = TRY(sys::list_dir(own.get(), ".", max_names_per_folder));
  std::sort(names.begin(), names.end());  // std::string compares bytes as unsigned
  step.folder = own.get();
  walk.open_.push_back(Folder{std::move(own), std::string(kRootPath), std::move(names)});
  walk.first_ = std::move(step);
  return walk;
}

Result<std::optional<WalkStep>> TreeWalk::next() {
  if (first_) return std::exchange(first_, std::nullopt);
  while (!open_.empty()) {
    Folder& folder = open_.back();
    if (folder.index == folder.names.size()) {
      WalkStep step;
      step.kind = WalkStep::Kind::leave;
      step.path = std::move(folder.path);
      left_ = std::move(folder.fd);
      step.folder = left_.get();
      open_.pop_back();
      return std::optional(std::move(step));
    }
    const std::string name = folder.names[folder.index++];
    auto step = TRY(visit(folder, name));
    if (step) return step;
  }
  return std::optional<WalkStep>();
}

Result<std::optional<WalkStep>> TreeWalk::visit(Folder& folder, const std::string& name) {
  WalkStep step;
  step.path = join_entry_path(folder.path, name);
  step.name = name;
  step.parent = folder.fd.get();
  auto status = sys::stat_at(step.parent, name);
  if (!status) {
    if (vanished(status.error())) return std::optional<WalkStep>();
    return std::move(status).error();
  }
  step.status = *status;
  if (!S_ISDIR(step.status.st_mode)) return std::optional(std::move(step));
  auto entered = enter(std::move(step));
  if (entered) return std::optional(std::move(entered).value());
  if (vanished(entered.error())) return std::optional<WalkStep>();
  return std::move(entered).error();
}

Result<WalkStep> TreeWalk::enter(WalkStep step) {
  const auto refuse = [&](std::string_view why) {
    step.kind = WalkStep::Kind::unentered;
    step.trouble = why;
    return std::move(step);
  };
  if (open_.size() > kMaxEntryDepth) return refuse("too deep");
  if (step.path.size() > kMaxEntryPathBytes) return refuse("path too long");
  sys::UniqueFd fd = TRY(sys::open_at(step.parent, step.name, kFolderFlags));
  step.status = TRY(sys::stat_fd(fd.get()));
  if (step.status.st_dev != device_) return refuse("on another file system");
  auto names = sys::list_dir(fd.get(), ".", max_names_);
  if (!names) {
    if (names.error().code == Errc::exhausted) return refuse("too many names in one folder");
    return std::move(names).error();
  }
  std::sort(names->begin(), names->end());
  step.kind = WalkStep::Kind::enter;
  step.folder = fd.get();
  open_.push_back(Folder{std::move(fd), step.path, std::move(names).value()});
  return step;
}

}  // namespace tare::snapshot
