#include "sandbox/cgroup/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "sandbox/cgroup/place.h"
#include "sandbox/cgroup/settings.h"
#include "sys/files.h"
#include "sys/mountfs.h"
#include "sys/process.h"

namespace tare::sandbox {

namespace {

// The number behind `key ` in a file of "key value" lines, or the whole file for an empty key.
std::optional<std::uint64_t> number_in(int dir, std::string_view file, std::string_view key) {
  auto text = sys::read_file_at(dir, file, 16384);
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
    sys::signal_number(pid, SIGKILL);
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

// All of one cgroup, where its hierarchy can do that at once; nothing where it cannot.
Result<> kill_in(int folder, bool unified, bool freezer) {
  if (unified) return sys::write_control(folder, "cgroup.kill", "1");
  return freezer ? kill_by_freezer(folder) : ok();
}
Result<> kill_in(int folder, const Hierarchy& hierarchy) {
  return kill_in(folder, hierarchy.unified, hierarchy.has("freezer"));
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

Result<CgroupRoot> CgroupRoot::open(const std::vector<Hierarchy>& needed, std::string_view tag) {
  CgroupRoot root;
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

Cgroup::Part Cgroup::part_in(const Hierarchy& hierarchy) {
  Part part;
  part.unified = hierarchy.unified;
  part.memory = hierarchy.has("memory");
  part.pids = hierarchy.has("pids");
  part.cpu = hierarchy.has("cpu");
  part.cpuacct = hierarchy.has("cpuacct") || (part.unified && part.cpu);
  part.freezer = hierarchy.has("freezer");
  return part;
}

bool Cgroup::Part::has(std::string_view controller) const {
  return (controller == "memory" && memory) || (controller == "pids" && pids) ||
         (controller == "cpu" && cpu);
}

Result<> Cgroup::Part::arm(const CgroupSetting& setting) const {
  if (!has(setting.controller)) return ok();
  auto written = sys::write_control(folder.get(), setting.file, setting.value);
  const bool absent = !written && written.error().sys == ENOENT;
  if (written || (absent && !setting.required)) return ok();
  return std::move(written).error().context("cannot arm the limit " +
                                            std::string(setting.controller));
}

Result<Cgroup> Cgroup::create(const CgroupRoot& root, std::string_view name,
                              const model::Limits& limits) {
  Cgroup cgroup;
  cgroup.name_ = name;
  for (const CgroupRoot::Folder& folder : root.folders_) {
    Part made = part_in(folder.hierarchy);
    made.parent = TRY(sys::dup_fd(folder.folder.get()));
    TRY(sys::ensure_dir_at(made.parent.get(), name, 0755).context("cgroup"));
    made.folder = TRY(sys::open_at(made.parent.get(), name, O_RDONLY | O_DIRECTORY));
    const Part& part = cgroup.parts_.emplace_back(std::move(made));
    for (const CgroupSetting& setting : cgroup_settings(limits, part.version()))
      TRY(part.arm(setting));
  }
  TRY(cgroup.watch_oom().context("watching for the memory limit"));
  return cgroup;
}

std::vector<sys::UniqueFd> Cgroup::release() && {
  std::vector<sys::UniqueFd> fds;
  for (Part& part : parts_) fds.push_back(std::move(part.folder));
  fds.push_back(std::move(oom_));
  parts_.clear();
  return fds;
}

Result<Cgroup> Cgroup::adopt(const CgroupRoot& root, std::vector<sys::UniqueFd> fds) {
  if (fds.size() != root.folders_.size() + 1) {
    return Error{Errc::internal, "a cgroup of " + std::to_string(fds.size()) + " descriptors"};
  }
  Cgroup cgroup;
  for (std::size_t i = 0; i < root.folders_.size(); ++i) {
    Part part = part_in(root.folders_[i].hierarchy);
    part.folder = std::move(fds[i]);
    cgroup.parts_.push_back(std::move(part));
  }
  cgroup.oom_ = std::move(fds.back());
  return cgroup;
}

Result<> Cgroup::rearm(const model::Limits& from, const model::Limits& to) const {
  for (const Part& part : parts_) {
    const auto before = cgroup_settings(from, part.version());
    auto after = cgroup_settings(to, part.version());
    // v1: memory+swap may never be below memory, so upwards it goes first.
    if (to.memory_bytes > from.memory_bytes) std::ranges::reverse(after);
    for (const CgroupSetting& setting : after) {
      const bool same = std::ranges::any_of(before, [&](const CgroupSetting& old) {
        return old.file == setting.file && old.value == setting.value;
      });
      if (!same) TRY(part.arm(setting));
    }
  }
  return ok();
}

Cgroup::~Cgroup() {
  if (parts_.empty() || !parts_.front().parent.valid()) return;
  (void)kill();
  (void)remove();
}

const Cgroup::Part* Cgroup::part(bool Part::* controller) const {
  const auto found = std::ranges::find_if(parts_, [&](const Part& p) { return p.*controller; });
  return found == parts_.end() ? nullptr : &*found;
}

Result<> Cgroup::watch_oom() {
  const Part* memory = part(&Part::memory);
  if (memory == nullptr) return Error{Errc::unavailable, "no memory controller"};
  if (memory->unified) {
    oom_ = sys::UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!oom_.valid()) return sys_error(errno, "inotify_init");
    const std::string path = "/proc/self/fd/" + std::to_string(memory->folder.get()) +
                             "/memory.events";
    if (::inotify_add_watch(oom_.get(), path.c_str(), IN_MODIFY) < 0)
      return sys_error(errno, "inotify memory.events");
    return ok();
  }
  oom_ = sys::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!oom_.valid()) return sys_error(errno, "eventfd");
  const sys::UniqueFd control = TRY(
      sys::open_at(memory->folder.get(), "memory.oom_control", O_RDONLY));
  return sys::write_control(memory->folder.get(), "cgroup.event_control",
                            std::to_string(oom_.get()) + " " + std::to_string(control.get()));
}

int Cgroup::clone_into() const {
  const auto found = std::ranges::find_if(parts_, [](const Part& p) { return p.unified; });
  return found == parts_.end() ? -1 : found->folder.get();
}

Result<> Cgroup::attach(pid_t pid, Birth birth) const {
  const std::string text = std::to_string(pid);
  for (const bool killing_first : {true, false}) {  // what can kill as a whole, before the rest
    for (const Part& p : parts_) {
      if ((p.unified || p.freezer) != killing_first) continue;
      if (p.unified && birth == Birth::inside) continue;
      TRY(sys::write_control(p.folder.get(), "cgroup.procs", text).context("cgroup attach"));
    }
  }
  return ok();
}

Result<> Cgroup::kill() const {
  for (const Part& p : parts_) {
    if (p.unified || p.freezer)
      return kill_in(p.folder.get(), p.unified, p.freezer).context("cgroup kill");
  }
  return Error{Errc::unavailable, "no hierarchy that can kill"};
}

std::uint64_t Cgroup::oom_kills() const {
  const Part* memory = part(&Part::memory);
  if (memory == nullptr) return 0;
  return number_in(memory->folder.get(), memory->unified ? "memory.events" : "memory.oom_control",
                   "oom_kill")
      .value_or(0);
}

void Cgroup::read_usage(model::Usage& usage) const {
  if (const Part* p = part(&Part::cpuacct); p != nullptr) {
    usage.cpu_us = p->unified ? number_in(p->folder.get(), "cpu.stat", "usage_usec").value_or(0)
                              : number_in(p->folder.get(), "cpuacct.usage", "").value_or(0) / 1000;
  }
  if (const Part* p = part(&Part::cpu); p != nullptr) {
    usage.cpu_throttled_us = p->unified ? number_in(p->folder.get(), "cpu.stat", "throttled_usec")
                                              .value_or(0)
                                        : number_in(p->folder.get(), "cpu.stat", "throttled_time")
                                                  .value_or(0) /
                                              1000;
  }
  if (const Part* p = part(&Part::memory); p != nullptr) {
    usage.memory_peak_bytes = number_in(p->folder.get(),
                                        p->unified ? "memory.peak" : "memory.max_usage_in_bytes",
                                        "")
                                  .value_or(0);
  }
}

Result<> Cgroup::remove() {
  while (!parts_.empty()) {
    TRY(remove_folder(parts_.back().parent.get(), name_));
    parts_.pop_back();
  }
  return ok();
}

}  // namespace tare::sandbox
