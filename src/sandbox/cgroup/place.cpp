#include "sandbox/cgroup/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/cgroup/cgroup.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

constexpr std::string_view kHostLeaf = "tare-host";
constexpr std::size_t kMaxProcsBytes = 1 << 20;

constexpr std::string_view kHowToDelegate =
    "start it with `systemd-run --user --scope -p Delegate=yes -- tare up`, or as a systemd unit "
    "with Delegate=yes";

// What systemd writes where it has handed a folder over; root reads both names, others the first.
bool is_marked(const std::string& folder) {
  for (const char* name : {"user.delegate", "trusted.delegate"}) {
    char value = 0;
    if (::getxattr(folder.c_str(), name, &value, 1) == 1 && value == '1') return true;
  }
  return false;
}

// The folder and the files with which its children are made and filled.
bool is_theirs(const std::string& folder, uid_t person) {
  for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control"}) {
    struct stat status = {};
    if (::stat((folder + file).c_str(), &status) != 0 || status.st_uid != person) return false;
  }
  return true;
}

bool all_unified(const std::vector<Hierarchy>& mounted) {
  return std::ranges::all_of(mounted, [](const Hierarchy& h) { return h.unified; });
}

Result<> move_all(const std::string& from, const std::string& to) {
  const std::string members = TRY(
      sys::read_file_at(sys::kCwd, from + "/cgroup.procs", kMaxProcsBytes));
  std::string number;
  for (const char c : members) {
    if (c != '\n') {
      number += c;
      continue;
    }
    auto moved = sys::write_control(sys::kCwd, to + "/cgroup.procs", std::exchange(number, ""));
    if (!moved && moved.error().sys != ESRCH) return moved;
  }
  return ok();
}

}  // namespace

std::optional<std::string> parse_own_cgroup(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with("0::/")) continue;
    std::string path(line.substr(3));
    if (path.find("/..") != std::string::npos) return std::nullopt;
    if (path.ends_with(" (deleted)")) return std::nullopt;
    return path;
  }
  return std::nullopt;
}

Result<std::string> find_place(const PlaceQuery& query) {
  std::string theirs;
  for (std::string path = query.own; !path.empty();) {
    const std::string folder = path == "/" ? query.mount : query.mount + path;
    const bool owned = !query.person || is_theirs(folder, *query.person);
    // Our own child of it is no place, though it may be ours.
    const bool leaf = path.ends_with("/" + std::string(kHostLeaf));
    if (owned && !leaf && is_marked(folder)) return folder;
    if (query.person && owned && !leaf) theirs = folder;
    path.resize(path == "/" ? 0 : std::max<std::size_t>(path.rfind('/'), 1));
  }
  if (!query.person) return query.mount;
  if (!theirs.empty()) return theirs;
  return Error{Errc::denied, "the cgroup " + query.own +
                                 " and those above it are not delegated to "
                                 "this user, so no limit (memory, pids, cpu) can be armed: " +
                                 std::string(kHowToDelegate)};
}

Result<> vacate(const std::string& place) {
  // The root alone has no type, and is excepted.
  if (!sys::exists_at(sys::kCwd, place + "/cgroup.type")) return ok();
  constexpr int kTries = 20;  // they may fork while they are moved
  const std::string leaf = place + "/" + std::string(kHostLeaf);
  for (int i = 0; i < kTries; ++i) {
    if (TRY(sys::read_file_at(sys::kCwd, place + "/cgroup.procs", kMaxProcsBytes)).empty())
      return ok();
    TRY(sys::ensure_dir_at(sys::kCwd, leaf, 0755));
    TRY(move_all(place, leaf).context("moving the processes of the cgroup " + place));
  }
  return Error{Errc::conflict, "processes keep entering the cgroup " + place};
}

Result<> check_delegable(const std::vector<Hierarchy>& mounted) {
  if (all_unified(mounted)) return ok();
  return Error{Errc::denied,
               "limits (memory, pids, cpu) cannot be armed without root here: this host has cgroup "
               "v1 hierarchies, which cannot be handed to a user; boot with "
               "systemd.unified_cgroup_hierarchy=1 (cgroup v2 alone), or run it as root"};
}

Result<std::vector<Hierarchy>> usable_hierarchies(std::optional<uid_t> person) {
  const std::string mountinfo = TRY(sys::read_file_at(sys::kCwd, "/proc/self/mountinfo"));
  std::vector<Hierarchy> mounted = parse_hierarchies(mountinfo);
  const bool pure = all_unified(mounted);
  if (person) TRY(check_delegable(mounted));
  const std::string self = TRY(sys::read_file_at(sys::kCwd, "/proc/self/cgroup"));
  for (Hierarchy& hierarchy : mounted) {
    if (!hierarchy.unified) continue;
    if (pure) {
      const std::string own = parse_own_cgroup(self).value_or("/");
      hierarchy.path = TRY(find_place({hierarchy.path, own, person}));
    }
    TRY(read_controllers(hierarchy));
  }
  return needed_hierarchies(mounted);
}

}  // namespace tare::sandbox
