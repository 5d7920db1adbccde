// What the host is and has installed.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

#include "base/bytes.h"
#include "base/text.h"
#include "sandbox/doctor/check.h"
#include "sandbox/doctor/facts.h"
#include "sandbox/plan/plan.h"
#include "sandbox/rootfs/slots.h"
#include "sys/capabilities.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/own_namespace.h"
#include "sys/users.h"

namespace tare::sandbox {

namespace {

struct NamedCapability {
  int number;
  std::string_view name;
};
// To start (MKNOD) and then to keep: drop_capabilities() in launch/main.cpp.
constexpr NamedCapability kCapabilities[] = {
    {CAP_SYS_ADMIN, "SYS_ADMIN"},
    {CAP_SETUID, "SETUID"},
    {CAP_SETGID, "SETGID"},
    {CAP_CHOWN, "CHOWN"},
    {CAP_FOWNER, "FOWNER"},
    {CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
    {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH"},
    {CAP_KILL, "KILL"},
    {CAP_SYS_CHROOT, "SYS_CHROOT"},
    {CAP_SYS_PTRACE, "SYS_PTRACE"},
    {CAP_NET_ADMIN, "NET_ADMIN"},
    {CAP_SETPCAP, "SETPCAP"},
    {CAP_MKNOD, "MKNOD"},
};

Result<std::uint64_t> held_capabilities() {
  const std::string status = TRY(sys::read_file_at(sys::kCwd, "/proc/self/status"));
  return TRY(sys::parse_capability_status(status)).effective;
}

}  // namespace

Result<std::string> check_kernel(const Host&) {
  utsname name = {};
  if (::uname(&name) != 0) return sys_error(errno, "uname");
  const std::string found = std::string(name.release) + " " + name.machine;
  const auto version = parse_kernel_version(name.release);
  if (!version) return Error{Errc::unavailable, found + ": not a version number"};
  if (*version < kOldestKernel) return Error{Errc::unavailable, found + ": older than 6.1"};
  if (std::string_view(name.machine) != "x86_64") {
    return Error{Errc::unavailable, found + ": not x86_64, which the system call filter is for"};
  }
  return found;
}

Result<std::string> check_root(const Host& host) {
  if (host.inside) return "no, but of a user namespace of our own, as " + host.user;
  if (::geteuid() != 0) {
    return Error{Errc::denied,
                 "uid " + std::to_string(::geteuid()) +
                     ", and no user namespace of its own with enough ids: " + host.why_not_inside};
  }
  return std::string("uid 0");
}

Result<std::string> check_capabilities(const Host&) {
  const std::uint64_t held = TRY(held_capabilities());
  std::vector<std::string_view> missing;
  for (const NamedCapability& capability : kCapabilities) {
    if ((held & sys::capability_mask({capability.number})) == 0) missing.push_back(capability.name);
  }
  if (!missing.empty()) return Error{Errc::denied, "missing: " + joined(missing)};
  return "all " + std::to_string(std::size(kCapabilities)) + " that are needed";
}

Result<std::string> check_resource_capability(const Host& host) {
  if (host.inside) return Error{Errc::denied, "held in our own user namespace only"};
  if ((TRY(held_capabilities()) & sys::capability_mask({CAP_SYS_RESOURCE})) == 0) {
    return Error{Errc::denied, "not held"};
  }
  return std::string("held");
}

Result<std::string> check_uid_range(const Host& host) {
  const std::string map = TRY(sys::read_file_at(sys::kCwd, "/proc/self/uid_map"));
  if (host.inside && maps_ids(map, 0, kIdRange))
    return std::to_string(kIdRange) + ", which all sandboxes share";
  constexpr std::uint64_t kCount = std::uint64_t{kUidBlocks} * kSlotsPerBlock * kIdRange;
  const std::string range = std::to_string(kFirstUid) + " to " +
                            std::to_string(kFirstUid + kCount - 1);
  if (!maps_ids(map, kFirstUid, kCount)) {
    return Error{Errc::denied, range + " is not mapped here: this is a user namespace itself"};
  }
  return range + ", unused by others";
}

Result<std::string> check_home(const Host& host) {
  const std::string place = TRY(Result<std::string>(host.place));
  const std::string folder = place.substr(0, std::max<std::size_t>(place.rfind('/'), 1));
  struct statvfs space = {};
  if (::statvfs(place.c_str(), &space) != 0) return sys_error(errno, "statvfs " + place);
  const sys::UniqueFd file = TRY(sys::open_at(sys::kCwd, place, O_RDWR | O_TMPFILE, 0600));
  return folder + " can be written to, " + format_size_rounded(space.f_bavail * space.f_frsize) +
         " free" + (folder == host.home ? "" : "; " + host.home + " is made by `tare up`");
}

Result<std::string> check_user(const Host& host) {
  if (host.inside) return "not needed: tared runs as " + host.user;
  const sys::SystemUser user = TRY(sys::find_user(host.user));
  if (user.uid == 0) return Error{Errc::invalid, host.user + " is root"};
  return user.name + ", uid " + std::to_string(user.uid);
}

Result<std::string> check_subuids(const Host& host) {
  const std::string text = sys::read_file_at(sys::kCwd, "/etc/subuid").value_or("");
  const auto user = sys::find_user(host.user);
  const auto range = sys::subordinate_ids(text, host.user, user ? user->uid : ~uid_t{0});
  const std::string none = "none for " + host.user + " in /etc/subuid";
  const bool by_root = !host.inside && !host.person;
  if (!range && by_root) return none + ", and not needed: root starts Tare here";
  if (!range) return Error{Errc::not_found, none};
  return std::to_string(range->count) + " from " + std::to_string(range->first) + " for " +
         host.user;
}

Result<std::string> check_mmdebstrap(const Host&) {
  for (const char* path : {"/usr/bin/mmdebstrap", "/bin/mmdebstrap", "/usr/local/bin/mmdebstrap"}) {
    if (::access(path, X_OK) == 0) return std::string(path);
  }
  return Error{Errc::not_found, "mmdebstrap is not installed"};
}

Result<std::string> check_core_handler(const Host&) {
  const std::string pattern = TRY(sys::read_file_at(sys::kCwd, "/proc/sys/kernel/core_pattern"));
  const CoreHandler handler = core_handler(pattern);
  if (handler == CoreHandler::file)
    return std::string("a file, and none is written for those inside");
  if (handler == CoreHandler::socket)
    return Error{Errc::unavailable, "a socket, which the kernel calls whatever the limit"};
  if (!sys::limit_resource(RLIMIT_CORE, sys::kNoCoreHandler))
    return Error{Errc::unavailable, "a program, and our hard limit on core files is 0, not 1"};
  return std::string("a program, and it is not started for those inside");
}

}  // namespace tare::sandbox
