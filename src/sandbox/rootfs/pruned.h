// The launcher's own mount namespace, pruned: a clone of a namespace costs time for every mount in
// it, and every mount of the host would be in reach of a new sandbox until it has changed its root.
//
//   /            tmpfs, read-only once it is built
//   /proc        a fresh, unmasked proc: a sandbox may only mount its own where a visible one
//   exists /host        the host's root file system, read-only (and /host/usr where that is a mount
//   of its own) /host<HOME>  TARE_HOME, nosuid, nodev /stage       where the root of the next
//   sandbox is put together /dev         the devices every sandbox gets, made once: null zero full
//   random urandom tty
//
// Called once at start, by the single thread of tare-launcher. Descriptors opened before (cgroups,
// sockets, loop devices) keep working: they need no path. Sources: mount_namespaces(7),
// pivot_root(2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::sandbox {

inline constexpr std::string_view kHostRoot = "/host";

// Whose root we are. In a user namespace of our own (sys/own_namespace.h) the host's mounts are
// locked together: of its root only /usr, /bin, /etc and the like are shown, with what is mounted
// below them, /proc is the host's, and devices are binds of the host's.
enum class Powers : std::uint8_t { of_host, of_own_namespace };

// `home` is an absolute path. Afterwards it is found at kHostRoot + home.
Result<> enter_pruned_namespace(std::string_view home, Powers powers);

}  // namespace tare::sandbox
