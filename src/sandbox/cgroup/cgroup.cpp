#include "sandbox/cgroup/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "sandbox/cgroup/place.h"
#include "sandbox/cgroup/settings.h"
#include "sys/files.h"
#include "sys/mountfs.h"
#include "sys/process.h"

namespace tare::sandbox {

namespace {

// The number behind `key ` in a file of "key value" lines, or the whole file for an empty key.
std::optional<std::uint64_t> number_in(int dir, const std::string& path, std::string_view key) {
  auto text = sys::read_file_at(dir, path, 16384);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.starts_with(key)) continue;
    std::string_view digits = line.substr(key.size());
    if (!key.empty() && !digits.starts_with(' ')) continue;
    if (!key.empty()) digits.remove_prefix(1);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc()) return value;
  }
  return std::nullopt;
}

constexpr std::string_view kLimiting[] = {"memory", "pids", "cpu"};

Result<> enable_controllers(int folder, const Hierarchy& hierarchy) {
  for (const std::string_view controller : kLimiting) {
    if (!hierarchy.has(controller)) continue;
    TRY(sys::write_control(folder, "cgroup.subtree_control", "+" + std::string(controller))
            .context("enabling the cgroup controller " + std::string(controller) + " below " +
                     hierarchy.path + " (a systemd unit needs Delegate=yes)"));
  }
  return ok();
}

bool limits(const Hierarchy& hierarchy) {
  return std::ranges::any_of(kLimiting, [&](std::string_view c) { return hierarchy.has(c); });
}

Result<> kill_members(int folder) {
  const std::string members = TRY(sys::read_file_at(folder, "cgroup.procs", 1 << 22));
  const char* at = members.data();
  const char* const end = at + members.size();
  while (at < end) {
    pid_t pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc()) break;
    (void)sys::signal_number(pid, SIGKILL);
    at = next + 1;
  }
  return ok();
}

// Pure v1: a frozen task does not act on SIGKILL before it is thawed, and a thawed one could fork
// away.
Result<> kill_by_freezer(int folder) {
  TRY(sys::write_control(folder, "freezer.state", "FROZEN"));
  Result<> killed = kill_members(folder);  // frozen: no number can be reused before they are thawed
  TRY(sys::write_control(folder, "freezer.state", "THAWED"));
  return killed;
}

bool kills_at_once(const Hierarchy& hierarchy) {
  return hierarchy.unified || hierarchy.has("freezer");
}

// A cgroup can be removed when the last of its processes has been reaped, which SIGKILL only
// begins.
Result<> remove_folder(int parent, const std::string& name) {
  constexpr int kTries = 200;
  constexpr int kPauseMs = 5;
  for (int i = 0;; ++i) {
    auto removed = sys::remove_dir_at(parent, name);
    if (removed || removed.error().sys != EBUSY || i == kTries) return removed;
    sys::pause_ms(kPauseMs);
  }
}

}  // namespace

Result<> kill_in(int folder, const Hierarchy& hierarchy) {
  if (hierarchy.unified) return sys::write_control(folder, "cgroup.kill", "1");
  return kills_at_once(hierarchy) ? kill_by_freezer(folder) : ok();
}

Result<> read_controllers(Hierarchy& hierarchy) {
  const std::string text = TRY(
      sys::read_file_at(sys::kCwd, hierarchy.path + "/cgroup.controllers"));
  std::string word;
  for (const char c : text + " ") {
    if (c != ' ' && c != '\n') {
      word += c;
    } else if (!word.empty()) {
      hierarchy.controllers.push_back(std::exchange(word, ""));
    }
  }
  return ok();
}

Result<CgroupRoot> CgroupRoot::open(const std::vector<Hierarchy>& needed, std::string_view tag,
                                    std::string swaps) {
  CgroupRoot root;
  root.swaps_ = std::move(swaps);
  root.name_ = "tare-" + std::string(tag);
  for (const Hierarchy& hierarchy : needed) {
    if (hierarchy.unified && limits(hierarchy)) TRY(vacate(hierarchy.path));
    sys::UniqueFd mount = TRY(sys::open_at(sys::kCwd, hierarchy.path, O_RDONLY | O_DIRECTORY));
    TRY(sys::ensure_dir_at(mount.get(), root.name_, 0755)
            .context("cgroup hierarchy " + hierarchy.path));
    sys::UniqueFd folder = TRY(sys::open_at(mount.get(), root.name_, O_RDONLY | O_DIRECTORY));
    if (hierarchy.unified) {
      TRY(enable_controllers(mount.get(), hierarchy));
      TRY(enable_controllers(folder.get(), hierarchy));
    }
    root.folders_.push_back({hierarchy, std::move(mount), std::move(folder)});
  }
  return root;
}

std::string_view CgroupRoot::mode() const {
  const auto unified = [](const Folder& f) { return f.hierarchy.unified; };
  if (std::ranges::all_of(folders_, unified)) return "v2";
  return std::ranges::any_of(folders_, unified) ? "hybrid" : "v1";
}

Result<> CgroupRoot::ask_for_quick_moves() {
  if (mode() == "v2") return ok();
  sys::FsContext context = TRY(sys::FsContext::create("cgroup"));
  TRY(context.set_flag("none"));
  TRY(context.set("name", "tare"));  // one for all launchers of a machine
  TRY(context.set_flag("favordynmods"));
  quick_moves_ = TRY(context.mount({}));
  return ok();
}

Result<int> CgroupRoot::sweep() {
  int swept = 0;
  // First the killing, in every hierarchy: a launcher that died while it attached a process has
  // left it in some of them only. Then the removal.
  for (const Folder& folder : folders_) {
    for (const std::string& name : TRY(sys::list_dir(folder.folder.get(), "."))) {
      auto child = sys::open_at(folder.folder.get(), name, O_RDONLY | O_DIRECTORY);
      if (!child) continue;  // a control file
      TRY(kill_in(child->get(), folder.hierarchy).context("sweep " + name));
      TRY(kill_members(child->get()).context("sweep " + name));
      ++swept;
    }
  }
  for (const Folder& folder : folders_) {
    for (const std::string& name : TRY(sys::list_dir(folder.folder.get(), "."))) {
      auto child = sys::open_at(folder.folder.get(), name, O_PATH | O_DIRECTORY);
      if (child) TRY(remove_folder(folder.folder.get(), name).context("sweep " + name));
    }
  }
  return swept;
}

Result<> CgroupRoot::remove() {
  for (const Folder& folder : folders_) TRY(remove_folder(folder.mount.get(), name_));
  return ok();
}

Result<> CgroupRoot::remove_child(std::string_view name) const {
  for (const bool killing : {true, false}) {  // all are killed before the first is removed
    for (const Folder& folder : folders_) {
      auto child = sys::open_at(folder.folder.get(), name, O_RDONLY | O_DIRECTORY);
      if (!child && child.error().sys == ENOENT) continue;
      if (!child) return std::move(child).error();
      if (killing) TRY(kill_in(child->get(), folder.hierarchy).context(name));
      if (!killing) TRY(remove_folder(folder.folder.get(), std::string(name)).context(name));
    }
  }
  return ok();
}

std::vector<int> CgroupRoot::descriptors() const {
  std::vector<int> fds;
  for (const Folder& folder : folders_) {
    fds.push_back(folder.mount.get());
    fds.push_back(folder.folder.get());
  }
  return fds;
}

const CgroupRoot::Folder* CgroupRoot::killing() const {
  const auto found = std::ranges::find_if(
      folders_, [](const Folder& folder) { return kills_at_once(folder.hierarchy); });
  return found == folders_.end() ? nullptr : &*found;
}

// v2 accounts for processor time with the controller that limits it.
const CgroupRoot::Folder* CgroupRoot::with(std::string_view controller) const {
  const auto found = std::ranges::find_if(folders_, [&](const Folder& folder) {
    return folder.hierarchy.has(folder.hierarchy.unified && controller == "cpuacct" ? "cpu"
                                                                                    : controller);
  });
  return found == folders_.end() ? nullptr : &*found;
}

// ---- one sandbox's

Cgroup::Cgroup(Cgroup&& other) noexcept
    : root_(other.root_),
      name_(std::move(other.name_)),
      oom_(std::move(other.oom_)),
      made_here_(std::exchange(other.made_here_, false)) {}

Cgroup::~Cgroup() {
  if (made_here_) (void)root_->remove_child(name_);
}

Result<Cgroup> Cgroup::create(const CgroupRoot& root, std::string_view name,
                              const model::Limits& limits) {
  Cgroup cgroup(root, name);
  cgroup.made_here_ = true;
  for (const Folder& folder : root.folders_) {
    TRY(sys::ensure_dir_at(folder.folder.get(), cgroup.name_, 0755).context("cgroup"));
    for (const CgroupSetting& setting : cgroup_settings(limits, folder.version()))
      TRY(cgroup.arm(folder, setting));
  }
  TRY(cgroup.watch_oom().context("watching for the memory limit"));
  return cgroup;
}

Cgroup Cgroup::adopt(const CgroupRoot& root, std::string_view name, sys::UniqueFd oom) {
  Cgroup cgroup(root, name);
  cgroup.oom_ = std::move(oom);
  return cgroup;
}

sys::UniqueFd Cgroup::release() && {
  made_here_ = false;
  return std::move(oom_);
}

Result<> Cgroup::arm(const Folder& folder, const CgroupSetting& setting) const {
  if (!folder.hierarchy.has(setting.controller)) return ok();
  auto written = sys::write_control(folder.folder.get(), in(setting.file), setting.value);
  if (written) return ok();
  const auto refused = [&](Error why) {
    return std::move(why).context("cannot arm the limit " + std::string(setting.controller));
  };
  if (written.error().sys != ENOENT || setting.need == Presence::always)
    return refused(std::move(written).error());
  if (setting.need == Presence::implied) return ok();
  // Looked at only now: swap may be switched on at any time.
  const auto swaps = sys::read_file_at(sys::kCwd, root_->swaps_, 65'536);
  if (swaps && !has_swap(*swaps)) return ok();
  return refused(Error{Errc::unavailable,
                       "this host swaps, and its kernel does not limit that for a cgroup: switch "
                       "swap off (swapoff -a), or boot with swapaccount=1"});
}

Result<> Cgroup::rearm(const model::Limits& from, const model::Limits& to) const {
  for (const Folder& folder : root_->folders_) {
    const auto before = cgroup_settings(from, folder.version());
    auto after = cgroup_settings(to, folder.version());
    // v1: memory+swap may never be below memory, so upwards it goes first.
    if (to.memory_bytes > from.memory_bytes) std::ranges::reverse(after);
    for (const CgroupSetting& setting : after) {
      const bool same = std::ranges::any_of(before, [&](const CgroupSetting& old) {
        return old.file == setting.file && old.value == setting.value;
      });
      if (!same) TRY(arm(folder, setting));
    }
  }
  return ok();
}

Result<> Cgroup::watch_oom() {
  const Folder* memory = root_->with("memory");
  if (memory == nullptr) return Error{Errc::unavailable, "no memory controller"};
  const int folder = memory->folder.get();
  if (memory->hierarchy.unified) {
    oom_ = TRY(sys::open_at(folder, in("memory.events"), O_RDONLY));
    see_oom();
    return ok();
  }
  oom_ = sys::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!oom_.valid()) return sys_error(errno, "eventfd");
  const sys::UniqueFd control = TRY(sys::open_at(folder, in("memory.oom_control"), O_RDONLY));
  return sys::write_control(folder, in("cgroup.event_control"),
                            std::to_string(oom_.get()) + " " + std::to_string(control.get()));
}

short Cgroup::oom_events() const {
  const Folder* memory = root_->with("memory");
  return memory != nullptr && memory->hierarchy.unified ? POLLPRI : POLLIN;
}

// kernfs tells of what has changed since the file was last read, an eventfd of what was not.
void Cgroup::see_oom() const {
  std::array<char, 4096> ignored;
  (void)::lseek(oom_.get(), 0, SEEK_SET);
  (void)::read(oom_.get(), ignored.data(), ignored.size());
}

Result<sys::UniqueFd> Cgroup::clone_into() const {
  for (const Folder& folder : root_->folders_) {
    if (folder.hierarchy.unified)
      return sys::open_at(folder.folder.get(), name_, O_RDONLY | O_DIRECTORY);
  }
  return sys::UniqueFd();
}

Result<> Cgroup::attach(pid_t pid, Birth birth) const {
  const std::string text = std::to_string(pid);
  for (const bool killing_first : {true, false}) {  // what can kill as a whole, before the rest
    for (const Folder& folder : root_->folders_) {
      if (kills_at_once(folder.hierarchy) != killing_first) continue;
      if (folder.hierarchy.unified && birth == Birth::inside) continue;
      TRY(sys::write_control(folder.folder.get(), in("cgroup.procs"), text)
              .context("cgroup attach"));
    }
  }
  return ok();
}

Result<> Cgroup::kill() const {
  const Folder* folder = root_->killing();
  if (folder == nullptr) return Error{Errc::unavailable, "no hierarchy that can kill"};
  const sys::UniqueFd own = TRY(sys::open_at(folder->folder.get(), name_, O_RDONLY | O_DIRECTORY));
  return kill_in(own.get(), folder->hierarchy).context("cgroup kill");
}

std::optional<std::uint64_t> Cgroup::number(const Folder& folder, std::string_view file,
                                            std::string_view key) const {
  return number_in(folder.folder.get(), in(file), key);
}

std::uint64_t Cgroup::oom_kills() const {
  const Folder* memory = root_->with("memory");
  if (memory == nullptr) return 0;
  const bool unified = memory->hierarchy.unified;
  return number(*memory, unified ? "memory.events" : "memory.oom_control", "oom_kill").value_or(0);
}

void Cgroup::read_usage(model::Usage& usage) const {
  constexpr std::uint64_t kNsPerUs = 1000;
  if (const Folder* spent = root_->with("cpuacct"); spent != nullptr) {
    usage.cpu_us = spent->hierarchy.unified
                       ? number(*spent, "cpu.stat", "usage_usec").value_or(0)
                       : number(*spent, "cpuacct.usage").value_or(0) / kNsPerUs;
  }
  if (const Folder* cpu = root_->with("cpu"); cpu != nullptr) {
    usage.cpu_throttled_us = cpu->hierarchy.unified
                                 ? number(*cpu, "cpu.stat", "throttled_usec").value_or(0)
                                 : number(*cpu, "cpu.stat", "throttled_time").value_or(0) /
                                       kNsPerUs;
  }
  if (const Folder* memory = root_->with("memory"); memory != nullptr) {
    const bool unified = memory->hierarchy.unified;
    usage.memory_peak_bytes = number(*memory, unified ? "memory.peak" : "memory.max_usage_in_bytes")
                                  .value_or(0);
  }
  if (const Folder* pids = root_->with("pids"); pids != nullptr)
    usage.processes_refused = number(*pids, "pids.events", "max").value_or(0);
}

Result<> Cgroup::remove() {
  for (const Folder& folder : root_->folders_) {
    auto removed = remove_folder(folder.folder.get(), name_);
    if (!removed && removed.error().sys != ENOENT) return removed;
  }
  made_here_ = false;
  return ok();
}

}  // namespace tare::sandbox
