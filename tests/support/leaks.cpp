#include "support/leaks.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/hash.h"
#include "sandbox/cgroup/place.h"
#include "sys/files.h"
#include "sys/fork.h"

namespace tare::testing {

namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& path) {
  return sys::read_file_at(sys::kCwd, path, std::size_t{64} << 20).value_or("");
}

// Where the cgroup folders of a home may be.
std::vector<fs::path> cgroup_folders_of(const std::string& home) {
  std::vector<sandbox::Hierarchy> hierarchies = sandbox::parse_hierarchies(
      text_of("/proc/self/mountinfo"));
  if (auto usable = sandbox::usable_hierarchies(std::nullopt))  // where they were handed over
    hierarchies.insert(hierarchies.end(), usable->begin(), usable->end());
  std::set<fs::path> folders;
  for (const sandbox::Hierarchy& hierarchy : hierarchies) {
    fs::path folder = fs::path(hierarchy.path) / cgroup_tag(home);
    if (fs::exists(folder)) folders.insert(std::move(folder));
  }
  return {folders.begin(), folders.end()};
}

bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::string cgroup_tag(const std::string& home) {
  return "tare-" + to_hex(sha256(home)).substr(0, 12);
}

std::vector<int> processes_of(const std::string& home) {
  std::vector<int> pids;
  const std::string mark = "/" + cgroup_tag(home);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!is_number(name)) continue;
    if (text_of(entry.path() / "cgroup").find(mark) != std::string::npos)
      pids.push_back(std::stoi(name));
  }
  return pids;
}

std::vector<std::string> sandbox_cgroups_of(const std::string& home) {
  std::vector<std::string> found;
  for (const fs::path& folder : cgroup_folders_of(home)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.is_directory()) found.push_back("cgroup " + entry.path().string());
    }
  }
  return found;
}

std::vector<std::string> loops_on_file_system_of(const std::string& home) {
  std::vector<std::string> found;
  struct stat status = {};
  if (::stat(home.c_str(), &status) != 0) return {"no " + home};
  for (const auto& entry : fs::directory_iterator("/sys/block")) {
    const std::string name = entry.path().filename();
    if (!fs::exists(entry.path() / "loop/backing_file")) continue;
    const auto device = sys::open_at(sys::kCwd, "/dev/" + name, O_RDONLY);
    loop_info64 info = {};
    if (!device || ::ioctl(device->get(), LOOP_GET_STATUS64, &info) != 0) continue;
    if (info.lo_device == status.st_dev) found.push_back("loop device " + name);
  }
  return found;
}

std::optional<int> empty_net_namespaces() {
  const std::string slab = "/sys/kernel/slab/net_namespace";
  std::error_code unreadable;
  // A cache that is shared with other things counts them, too.
  if (text_of(slab + "/aliases") != "0\n") return std::nullopt;
  // Half-full slabs count as full until then.
  if (!sys::write_control(sys::kCwd, slab + "/shrink", "1")) return std::nullopt;
  const auto alive = [&slab] { return std::atoi(text_of(slab + "/objects").c_str()); };
  const int before = alive();
  std::set<fs::path> inhabited;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (!is_number(entry.path().filename())) continue;
    inhabited.insert(fs::read_symlink(entry.path() / "ns/net", unreadable));
  }
  inhabited.erase(fs::path());
  // Or one that was made meanwhile, and seen, would make the number too small.
  return std::max(before, alive()) - static_cast<int>(inhabited.size());
}

void leave_a_net_namespace() {
  auto child = sys::fork_child();
  if (!child) return;
  if (!child->valid()) ::_exit(::unshare(CLONE_NEWNET) == 0 ? 0 : 1);
  (void)child->wait(nullptr);
}

std::vector<std::string> leaks_of(const std::string& home) {
  std::vector<std::string> found;
  for (const int pid : processes_of(home)) found.push_back("process " + std::to_string(pid));
  for (const fs::path& folder : cgroup_folders_of(home))
    found.push_back("cgroup " + folder.string());
  if (text_of("/proc/self/mountinfo").find(home) != std::string::npos)
    found.push_back("mount below " + home);
  for (const auto& entry : fs::directory_iterator("/sys/block")) {
    const std::string backing = text_of(entry.path() / "loop/backing_file");
    if (backing.find(home) != std::string::npos) found.push_back("loop device of " + backing);
  }
  return found;
}

}  // namespace tare::testing
