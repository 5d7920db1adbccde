// One row of `tare doctor`: a primitive that sandboxes stand on, the function that really performs
// it, and what to say when it does not work. The table is checks() in table.cpp.
//
// A check function runs in a child process of its own (examine.h), which is thrown away afterwards:
// it may confine itself, change its root, or hang. It answers with what it saw, in a few words, or
// with an Error whose message says what was missing. Single thread. Times in ms unless named.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::sandbox {

// What a check is told about this host.
struct Host {
  std::string home;             // TARE_HOME; need not exist yet
  std::optional<uid_t> inside;  // root of a user namespace of our own; the person's number in it
  std::optional<uid_t> person;  // an ordinary user who has none
  std::string why_not_inside;   // why
  std::string user;             // tared's
  std::string tag;              // of our cgroup folders and scratch folder: "doctor-<pid>"
  Result<std::string> place;    // our scratch folder, on the file system that holds the home
};

// Where it is not needed, its absence is a warning.
enum class Need : std::uint8_t { always, with_root, never };

struct Check {
  std::string_view name;
  Result<std::string> (*perform)(const Host& host);
  std::string_view consequence;  // when it does not work
  std::string_view fix;
  Need need = Need::always;
};

std::span<const Check> checks();

// The processes of the host itself (host_checks.cpp).
Result<std::string> check_kernel(const Host& host);
Result<std::string> check_root(const Host& host);
Result<std::string> check_capabilities(const Host& host);
Result<std::string> check_resource_capability(const Host& host);
Result<std::string> check_uid_range(const Host& host);
Result<std::string> check_home(const Host& host);
Result<std::string> check_user(const Host& host);
Result<std::string> check_subuids(const Host& host);
Result<std::string> check_mmdebstrap(const Host& host);
Result<std::string> check_core_handler(const Host& host);

// What a process can be given and refused (process_checks.cpp).
Result<std::string> check_pidfd(const Host& host);
Result<std::string> check_memfd(const Host& host);
Result<std::string> check_user_namespace(const Host& host);
Result<std::string> check_network_namespace(const Host& host);
Result<std::string> check_seccomp(const Host& host);
Result<std::string> check_refusals_told(const Host& host);
Result<std::string> check_landlock(const Host& host);

// Mounts and disks (mount_checks.cpp, disk_checks.cpp).
Result<std::string> check_mount_namespace(const Host& host);
Result<std::string> check_proc(const Host& host);
Result<std::string> check_idmapped_mount(const Host& host);
Result<std::string> check_overlay(const Host& host);
Result<std::string> check_memory_disk(const Host& host);
Result<std::string> check_loop_devices(const Host& host);
Result<std::string> check_image_disk(const Host& host);

// Limits (cgroup_checks.cpp).
Result<std::string> check_cgroups(const Host& host);
Result<std::string> check_quick_moves(const Host& host);
Result<std::string> check_armed_limits(const Host& host);
Result<std::string> check_memory_limit(const Host& host);
Result<std::string> check_process_limit(const Host& host);
Result<std::string> check_cpu_limit(const Host& host);
Result<std::string> check_kill(const Host& host);

}  // namespace tare::sandbox
