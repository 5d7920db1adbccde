// TreeWalk: visits a tree depth-first, names of a folder sorted by their bytes, below a folder's
// descriptor. The tree is hostile and may change meanwhile: no symlink is followed, no other file
// system entered, no name resolved twice through a path.
//
// Owner: one job; holds one descriptor per level (at most kMaxEntryDepth). Errors: what the kernel
// says; a folder that cannot be entered is a step of its own (unentered), for the caller to judge.
// What vanishes between two calls is passed over silently. Threads: one.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/paths.h"
#include "sys/fd.h"

namespace tare::snapshot {

struct WalkStep {
  enum class Kind : std::uint8_t {
    enter,      // a folder, before what is in it; `folder` is open
    leave,      // the same folder, after it
    leaf,       // anything else, unopened: `name` in `parent`
    unentered,  // a folder that is too deep, too large, or on another file system
  };
  Kind kind = Kind::leaf;
  std::string path;          // from the walk's root; "." is the root itself
  std::string name;          // in `parent`; empty for the root
  int parent = -1;           // borrowed until the next step
  int folder = -1;           // enter and leave; borrowed until the next step
  struct stat status = {};   // not for leave
  std::string_view trouble;  // unentered: why
};

class TreeWalk {
 public:
  // `root` is borrowed only for this call.
  static Result<TreeWalk> start(int root, std::size_t max_names_per_folder = std::size_t{1} << 20);

  // nullopt at the end.
  Result<std::optional<WalkStep>> next();

 private:
  struct Folder {
    sys::UniqueFd fd;
    std::string path;
    std::vector<std::string> names;
    std::size_t index = 0;
  };
  TreeWalk(dev_t device, std::size_t max_names) : device_(device), max_names_(max_names) {}
  Result<WalkStep> enter(WalkStep step);
  Result<std::optional<WalkStep>> visit(Folder& folder, const std::string& name);

  dev_t device_;
  std::size_t max_names_;
  std::vector<Folder> open_;
  std::optional<WalkStep> first_;
  sys::UniqueFd left_;  // the folder just left stays open for one step more
};

}  // namespace tare::snapshot
