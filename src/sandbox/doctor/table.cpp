// The table of all checks, in the order in which they are performed and shown.
#include "sandbox/doctor/check.h"

namespace tare::sandbox {

namespace {

constexpr std::string_view kNoSandbox = "no sandbox can be made on this host";
constexpr std::string_view kMountController =
    "v2: systemd unit with Delegate=yes, or add the controller to cgroup.subtree_control; as an "
    "ordinary user: systemd-run --user --scope -p Delegate=yes -- COMMAND; "
    "v1: mount -t cgroup -o memory (pids, cpu, cpuacct, freezer) below /sys/fs/cgroup";

constexpr Check kChecks[] = {
    {"kernel", &check_kernel, kNoSandbox, "use an x86_64 kernel from 6.1 on (Debian 12 has it)"},
    {"root", &check_root,
     "the launcher cannot make namespaces, mounts and cgroups; what follows is tried all the same",
     "run it as root, on the host itself or in a privileged VM; or allow what is missing (docs/"
     "rootless.md)"},
    {"capabilities", &check_capabilities, "the launcher is refused what the missing ones stand for",
     "do not take them away: see CapabilityBoundingSet= of the unit, or --cap-add of the "
     "container"},
    {"capability SYS_RESOURCE", &check_resource_capability,
     "limits of this process stay as they are: open files above its hard limit cannot be granted",
     "give the capability, or raise LimitNOFILE= of the unit", Need::never},
    {"uid range", &check_uid_range, "a sandbox would have no ids of its own",
     "run it outside of a user namespace"},
    {"pidfd", &check_pidfd, "a sandbox could not be watched and ended safely",
     "allow pidfd_open and pidfd_send_signal (an old container runtime's filter refuses them)"},
    {"sealed memory", &check_memfd, "tare-init could not be given to a sandbox",
     "install tare-init beside tare-launcher; set the sysctl vm.memfd_noexec to 0 or 1"},
    {"home folder", &check_home, "nothing can be stored there",
     "choose a writable folder on a local file system (ext4, xfs, btrfs) with --home"},
    {"user namespace", &check_user_namespace, kNoSandbox,
     "sysctl user.max_user_namespaces must not be 0; Debian: kernel.unprivileged_userns_clone=1; "
     "Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0"},
    {"mount namespace", &check_mount_namespace, kNoSandbox,
     "keep the home on the root file system, or give its real path (no symlink)"},
    {"proc in a user namespace", &check_proc, "no sandbox could have a /proc",
     "run it where /proc is whole: a container masks it (--security-opt systempaths=unconfined)"},
    {"idmapped mount", &check_idmapped_mount,
     "files of an environment belong to nobody inside and cannot be changed there",
     "put the home on ext4, xfs or btrfs (tmpfs from kernel 6.3)"},
    {"writable overlay", &check_overlay, "no sandbox could have a root it can write to",
     "load the module overlay, and put the home on ext4, xfs or btrfs"},
    {"disk cap in memory", &check_memory_disk,
     "runs with a disk limit up to a quarter of the memory limit are refused",
     "the kernel needs tmpfs"},
    {"loop devices", &check_loop_devices,
     "runs with a disk limit above a quarter of the memory limit are refused",
     "load the module loop; a container needs /dev/loop-control and /dev/loop*", Need::with_root},
    {"disk cap in an image", &check_image_disk,
     "runs with a disk limit above a quarter of the memory limit are refused",
     "apt install e2fsprogs; see also loop devices", Need::with_root},
    {"network namespace", &check_network_namespace, kNoSandbox,
     "sysctl user.max_net_namespaces must not be 0"},
    {"seccomp", &check_seccomp, "no system call filter, so no sandbox",
     "use a kernel with CONFIG_SECCOMP_FILTER"},
    {"refusals told", &check_refusals_told,
     "a refused system call answers ENOSYS, and no event of its run names it",
     "a container runtime's own filter has the one listener there can be: run it outside",
     Need::never},
    {"Landlock", &check_landlock,
     "programs and the unpacking of archives have no second wall; permissions and mounts hold "
     "alone",
     "boot with landlock in the lsm= parameter", Need::never},
    {"cgroups", &check_cgroups, "no limit can be set, so every run is refused", kMountController},
    {"quick cgroup moves", &check_quick_moves,
     "making a sandbox waits up to 30 ms for a lock that all other cgroup changes hold",
     "use a kernel with favordynmods (6.0 on), or cgroup v2 alone, where nothing is moved",
     Need::never},
    {"limits", &check_armed_limits, "every run is refused: a limit could not be armed",
     kMountController},
    {"memory limit", &check_memory_limit,
     "a run that uses too much memory could take the host's, or end without a reason",
     kMountController},
    {"process limit", &check_process_limit, "a run could use up the host's processes",
     kMountController},
    {"cpu limit", &check_cpu_limit, "a run could take all of the host's processor time",
     "use a kernel with CONFIG_CFS_BANDWIDTH"},
    {"kill", &check_kill, "a run that forks without end could not be ended",
     "mount cgroup2, or the v1 freezer"},
    {"core handler", &check_core_handler,
     "each crash inside is handed to the host's handler, outside of every limit",
     "sysctl kernel.core_pattern=core; or, if it begins with |, a hard limit on core files that is "
     "not 0 (limits.conf, LimitCORE= of the unit)",
     Need::never},
    {"system user", &check_user, "tared cannot be started without being root",
     "make this user, as above, or name another one with --user"},
    {"subordinate ids", &check_subuids,
     "this user cannot run Tare without root: its sandboxes would have no ids",
     "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER (a range that nobody "
     "else has); apt install uidmap",
     Need::never},
    {"mmdebstrap", &check_mmdebstrap, "`debian:` environments cannot be built",
     "apt install mmdebstrap"},
};

}  // namespace

std::span<const Check> checks() { return kChecks; }

}  // namespace tare::sandbox
