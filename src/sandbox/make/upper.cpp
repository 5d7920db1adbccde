#include "sandbox/make/upper.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

struct Level {
  sys::UniqueFd folder;
  std::string path;
  std::vector<std::string> names;
  std::size_t next = 0;
};

class OpaqueSearch {
 public:
  Result<> enter(sys::UniqueFd folder, std::string path);
  Result<std::string> finish();

 private:
  Result<> step();

  std::vector<Level> levels_;
  std::size_t entries_ = 0;
  std::string found_;
};

Result<bool> is_opaque(int folder) {
  // Not from a list: of more names than fit in one the kernel gives none.
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    if (TRY(sys::xattr_fd(folder, name)) == "y") return true;
  }
  return false;
}

Result<> OpaqueSearch::enter(sys::UniqueFd folder, std::string path) {
  if (levels_.size() >= kMaxUpperDepth) {
    return Error{Errc::exhausted,
                 "a folder is more than " + std::to_string(kMaxUpperDepth) + " levels deep"};
  }
  if (TRY(is_opaque(folder.get()))) {
    found_ += path;
    found_ += '\0';
    if (found_.size() > kMaxOpaqueBytes)
      return Error{Errc::exhausted, "too many folders were made anew"};
  }
  Level level{std::move(folder), std::move(path), {}, 0};
  level.names = TRY(sys::list_dir(level.folder.get(), "."));
  entries_ += level.names.size();
  if (entries_ > kMaxUpperEntries) return Error{Errc::exhausted, "too many entries"};
  levels_.push_back(std::move(level));
  return ok();
}

Result<> OpaqueSearch::step() {
  Level& level = levels_.back();
  if (level.next == level.names.size()) {
    levels_.pop_back();
    return ok();
  }
  const std::string& name = level.names[level.next++];
  const auto status = TRY(sys::stat_at(level.folder.get(), name));
  if (!S_ISDIR(status.st_mode)) return ok();
  sys::UniqueFd below = TRY(
      sys::open_beneath(level.folder.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return enter(std::move(below), level.path == "." ? name : level.path + "/" + name);
}

Result<std::string> OpaqueSearch::finish() {
  while (!levels_.empty()) TRY(step());
  return std::move(found_);
}

// What may be in a folder on the way to a sandbox's own ones.
struct Passage {
  std::string_view path;
  std::vector<std::string_view> names;
};
const Passage kPassages[] = {
    {".", {"dev", "etc", "home", "input", "opt", "output", "proc", "run", "sys", "tmp", "var"}},
    {"etc", {"hostname", "hosts", "machine-id", "resolv.conf"}},
    {"home", {"agent"}},
    {"opt", {"tare"}},
    {"opt/tare", {"runner"}},
    {"var", {"tmp"}},
};
constexpr mode_t kPassageMode = 0755;

// Absent: there is nothing of it in the upper.
Result<bool> is_untouched(int upper, const Passage& passage, uid_t owner) {
  auto folder = sys::open_beneath(upper, passage.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder && folder.error().code == Errc::not_found) return true;
  if (!folder) return false;  // no folder: whatever it is, it was changed
  const struct stat status = TRY(sys::stat_at(folder->get(), "."));
  if ((status.st_mode & 07777) != kPassageMode || status.st_uid != owner || status.st_gid != owner)
    return false;
  if (TRY(is_opaque(folder->get()))) return false;
  // One more than there may be is enough to know.
  const auto names = TRY(sys::list_dir(folder->get(), ".", passage.names.size() + 1));
  return std::ranges::all_of(names, [&](const std::string& name) {
    return std::ranges::find(passage.names, name) != passage.names.end();
  });
}

}  // namespace

bool changes_only_its_own(int upper, uid_t owner) {
  return std::ranges::all_of(kPassages, [&](const Passage& passage) {
    return is_untouched(upper, passage, owner).value_or(false);
  });
}

Result<std::string> opaque_folders(int upper) {
  OpaqueSearch search;
  TRY(search.enter(TRY(sys::open_beneath(upper, ".", O_RDONLY | O_DIRECTORY)), "."));
  return search.finish();
}

}  // namespace tare::sandbox
