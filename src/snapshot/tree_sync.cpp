#include "snapshot/tree_sync.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "snapshot/tree_walk.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/sync_many.h"

namespace tare::snapshot {

Result<> sync_tree(int folder, std::uint64_t entries, const DurableFiles& durable) {
  if (entries - std::min<std::uint64_t>(entries, durable.size()) > kSyncedOneByOne)
    return sys::sync_filesystem(folder);
  std::vector<sys::UniqueFd> open;
  std::vector<int> fds;
  TreeWalk walk = TRY(TreeWalk::start(folder));
  while (const auto step = TRY(walk.next())) {
    if (step->kind == WalkStep::Kind::enter) open.push_back(TRY(sys::dup_fd(step->folder)));
    // Symlinks have no content of their own: their folder's entry is all there is.
    if (step->kind == WalkStep::Kind::leaf && S_ISREG(step->status.st_mode) &&
        !durable.contains(step->path)) {
      open.push_back(
          TRY(sys::open_at(step->parent, step->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)));
    }
  }
  for (const sys::UniqueFd& fd : open) fds.push_back(fd.get());
  return sys::sync_fds(fds);
}

}  // namespace tare::snapshot
