// The writable space of one sandbox: a file system of its own with a hard cap on bytes and inodes.
// A tmpfs, or an ext4 image in a sparse file that is unlinked before it is used, on a loop device
// that frees itself (AUTOCLEAR): nothing of either outlives the last descriptor, whoever is killed.
//
//   upper/ work/   of the overlay        output/  shown at /output        shm/  shown at /dev/shm
//
// Files on it carry the sandbox's real host ids: a setuid file made inside belongs to an id that
// nobody has.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "model/limits.h"
#include "model/usage.h"
#include "sys/fd.h"

namespace tare::sandbox {

// What images need, opened at start while the host's /dev is still there.
struct ImageTools {
  sys::UniqueFd devices;       // the host's /dev
  sys::UniqueFd loop_control;  // invalid: no loop devices here
  std::string host;            // path of the host's root: mkfs.ext4 is run inside it
  std::string folder;          // <home>/launcher/images, as the host sees it
};

// A detached mount with the folders above, owned as the sandbox with uid range `base` needs them.
Result<sys::UniqueFd> make_scratch(const model::Limits& limits, uid_t base,
                                   const ImageTools& tools);

// Gives one that is in memory the size of `limits`.
Result<> resize_scratch(int scratch, const model::Limits& limits);

// Whether it is full; not, when nobody can say.
void read_space(int scratch, model::Usage& usage);

}  // namespace tare::sandbox
