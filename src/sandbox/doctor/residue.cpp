#include "sandbox/doctor/residue.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/cgroup/cgroup.h"
#include "sandbox/cgroup/place.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

constexpr std::string_view kTag = "doctor-";

// Where a doctor's cgroups may be: in the hierarchies themselves, or where this process may make
// some.
std::vector<Hierarchy> possible_hierarchies(std::optional<uid_t> person) {
  auto mountinfo = sys::read_file_at(sys::kCwd, "/proc/self/mountinfo");
  std::vector<Hierarchy> found = mountinfo ? parse_hierarchies(*mountinfo)
                                           : std::vector<Hierarchy>();
  if (auto usable = usable_hierarchies(person))
    found.insert(found.end(), usable->begin(), usable->end());
  return found;
}

// The home and every folder above it: a home may have been made since a doctor was there.
std::vector<std::string> folders_up(std::string path) {
  std::vector<std::string> folders;
  while (path.size() > 1) {
    folders.push_back(path);
    path.resize(std::max<std::size_t>(path.rfind('/'), 1));
  }
  folders.emplace_back("/");
  return folders;
}

std::string place_in(const std::string& folder, const std::string& tag) {
  return (folder == "/" ? "" : folder) + "/.tare-" + tag;
}

// "doctor-123" of a process that is no more.
bool is_stale(std::string_view tag) {
  if (!tag.starts_with(kTag)) return false;
  const std::string pid(tag.substr(kTag.size()));
  const bool number = !pid.empty() && pid.find_first_not_of("0123456789") == std::string::npos;
  return number && !sys::exists_at(sys::kCwd, "/proc/" + pid);
}

// Of the entries prefix + tag in a folder, those whose doctor is no more.
std::vector<std::string> stale_tags(const std::string& folder, std::string_view prefix) {
  std::vector<std::string> tags;
  auto names = sys::list_dir(sys::kCwd, folder);
  if (!names) return tags;
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    std::string tag = name.substr(prefix.size());
    if (is_stale(tag)) tags.push_back(std::move(tag));
  }
  return tags;
}

// What has been killed may take a moment to be gone.
template <class Remove>
void repeat_until_gone(const std::string& path, Remove remove) {
  constexpr int kTries = 2000;  // 10 s: on a busy machine a tree of processes dies slowly
  constexpr int kPauseMs = 5;
  for (int i = 0; i < kTries && sys::exists_at(sys::kCwd, path); ++i) {
    if (i > 0) ::poll(nullptr, 0, kPauseMs);
    (void)remove(sys::kCwd, path);
  }
}

void remove_folder(const std::string& path) { repeat_until_gone(path, &sys::remove_dir_at); }

// By name, as CgroupRoot::open() stops at the first hierarchy that is not as it should be. All are
// killed before the first folder is removed: what can kill is not in every hierarchy.
void remove_cgroups(const std::string& tag, std::optional<uid_t> person) {
  for (const bool killing : {true, false}) {
    for (const Hierarchy& hierarchy : possible_hierarchies(person)) {
      const std::string folder = hierarchy.path + "/tare-" + tag;
      auto names = sys::list_dir(sys::kCwd, folder);
      if (!names) continue;
      for (const std::string& name : *names) {
        const std::string inner = std::string(folder).append("/").append(name);
        const auto opened = sys::open_directory(inner);
        if (!opened) continue;  // a control file
        if (killing) (void)kill_in(opened->get(), hierarchy);
        if (!killing) remove_folder(inner);
      }
      if (!killing) remove_folder(folder);
    }
  }
}

}  // namespace

Result<std::string> make_place(const std::string& home, const std::string& tag) {
  for (const std::string& folder : folders_up(home)) {
    if (!sys::exists_at(sys::kCwd, folder)) continue;
    std::string place = place_in(folder, tag);
    TRY(sys::make_dir_at(sys::kCwd, place, 0700).context("scratch folder"));
    TRY(sys::make_dir_at(sys::kCwd, place + "/launcher", 0700));
    TRY(sys::make_dir_at(sys::kCwd, place + "/launcher/images", 0700));
    return place;
  }
  return Error{Errc::not_found, "no folder of " + home + " exists"};
}

void remove_residue(const std::string& home, const std::string& tag, std::optional<uid_t> person) {
  remove_cgroups(tag, person);
  for (const std::string& folder : folders_up(home)) {
    repeat_until_gone(place_in(folder, tag), &sys::remove_tree_at);
  }
}

void remove_stale_residue(const std::string& home, std::optional<uid_t> person) {
  constexpr std::string_view kCgroupPrefix = "tare-";
  for (const Hierarchy& hierarchy : possible_hierarchies(person)) {
    for (const std::string& tag : stale_tags(hierarchy.path, kCgroupPrefix))
      remove_cgroups(tag, person);
  }
  constexpr std::string_view kPlacePrefix = ".tare-";
  for (const std::string& folder : folders_up(home)) {
    for (const std::string& tag : stale_tags(folder, kPlacePrefix))
      remove_residue(home, tag, person);
  }
}

}  // namespace tare::sandbox
