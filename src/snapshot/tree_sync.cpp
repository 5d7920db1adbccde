#include "snapshot/tree_sync.h"

#include <fcntl.h>

#include "snapshot/tree_walk.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

Result<> sync_tree(int folder, std::uint64_t entries) {
  if (entries > kSyncedOneByOne) return sys::sync_filesystem(folder);
  TreeWalk walk = TRY(TreeWalk::start(folder));
  for (;;) {
    const auto step = TRY(walk.next());
    if (!step) return ok();
    if (step->kind == WalkStep::Kind::leave) TRY(sys::sync_fd(step->folder).context(step->path));
    // Symlinks have no content of their own: their folder's entry is all there is.
    if (step->kind != WalkStep::Kind::leaf || !S_ISREG(step->status.st_mode)) continue;
    const sys::UniqueFd file = TRY(
        sys::open_at(step->parent, step->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    TRY(sys::sync_fd(file.get()).context(step->path));
  }
}

}  // namespace tare::snapshot
