// Which folders the layers of a sandbox are. A layer that nothing needs may be removed while an
// empty sandbox made of it waits, and a build may make it again: the folder then has the same name
// and is another one, and what waits shows the remains of the first.
//
// Owner: Launcher. Cost: one stat a layer. Errors: none; a layer that is not there has a mark of
// its own. What never happens: two folders with one mark while a sandbox is mounted on either (its
// mounts keep the inode).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tare::sandbox {

struct LayerMark {
  dev_t device = 0;
  ino_t inode = 0;  // 0: it is not there
  friend bool operator==(const LayerMark&, const LayerMark&) = default;
};
using LayerMarks = std::vector<LayerMark>;

// `layers_dir`: <home>/store/layers. `digests` are well-formed.
LayerMarks mark_layers(const std::string& layers_dir, const std::vector<std::string>& digests);

}  // namespace tare::sandbox
