// Three layers that every launcher makes for itself at start, below <home>/launcher/skeleton:
//
//   platform/  lies on top of every image: /proc /dev /sys /tmp /input /output as real folders, so
//              that no image can make one of them a symlink (ATTACKS.md S9, S10)
//   runner/    the same for /opt/tare/runner, on top of all where a runner is mounted
//   host/      the root of the `host` environment: the same folders, /bin and friends as the host
//              has them, a few harmless files of the host's /etc, users root, agent and nobody,
//              /usr as a mount point
//
// They lie in memory where the kernel can show a tmpfs with the ids of a sandbox (since 6.3): on a
// disk their five hundred links take up to seconds, as ext4 looks for an inode that was not freed
// lately.
//
// Nothing of the host's /home, /root, /var, and of /etc only what the table in skeleton.cpp names.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace tare::sandbox {

struct Skeleton {
  std::string platform;                // path
  std::string host;                    // path
  std::string runner;                  // path
  std::vector<std::string> host_dirs;  // folders of the host to be shown read-only: "usr", and
                                       // "bin", ... where they are real
};

// `launcher_dir` is <home>/launcher, `host` the path under which the host's root is seen,
// `user_namespace` that of any sandbox (UserNamespaces::of). What is in memory is a mount of the
// caller's namespace, and gone with it.
Result<Skeleton> make_skeleton(const std::string& launcher_dir, const std::string& host,
                               int user_namespace);

}  // namespace tare::sandbox
