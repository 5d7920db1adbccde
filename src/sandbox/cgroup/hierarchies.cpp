#include "sandbox/cgroup/hierarchies.h"

#include <algorithm>

namespace tare::sandbox {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// The controllers among the super options of a v1 mount: "rw,cpu,cpuacct".
std::vector<std::string> controllers_of(std::string_view options) {
  static constexpr std::string_view kKnown[] = {"memory", "pids", "cpu", "cpuacct", "freezer"};
  std::vector<std::string> found;
  for (const std::string_view option : split(options, ',')) {
    if (std::ranges::find(kKnown, option) != std::end(kKnown)) found.emplace_back(option);
  }
  return found;
}

const Hierarchy* with(const std::vector<Hierarchy>& mounted, std::string_view controller,
                      bool unified) {
  for (const Hierarchy& hierarchy : mounted) {
    if (hierarchy.unified == unified && hierarchy.has(controller)) return &hierarchy;
  }
  return nullptr;
}

}  // namespace

bool Hierarchy::has(std::string_view controller) const {
  return std::ranges::find(controllers, controller) != controllers.end();
}

std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo) {
  std::vector<Hierarchy> found;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto front = split(line.substr(0, dash), ' ');
    const auto back = split(line.substr(dash + 3), ' ');
    if (front.size() < 6 || back.size() < 3) continue;
    if (front[3] != "/") continue;  // a bind mount of a part: not the hierarchy
    if (back[0] == "cgroup2") {
      found.push_back({std::string(front[4]), true, {}});
    } else if (back[0] == "cgroup") {
      Hierarchy hierarchy{std::string(front[4]), false, controllers_of(back[2])};
      if (!hierarchy.controllers.empty()) found.push_back(std::move(hierarchy));
    }
  }
  return found;
}

Result<std::vector<Hierarchy>> needed_hierarchies(const std::vector<Hierarchy>& mounted) {
  std::vector<Hierarchy> needed;
  const auto add = [&needed](const Hierarchy& hierarchy) {
    if (std::ranges::find(needed, hierarchy) == needed.end()) needed.push_back(hierarchy);
  };
  const auto unified = std::ranges::find_if(mounted, [](const Hierarchy& h) { return h.unified; });
  for (const std::string_view controller : {"memory", "pids", "cpu", "cpuacct"}) {
    const Hierarchy* v1 = with(mounted, controller, false);
    // On v2 the CPU time is in cpu.stat without any controller.
    const bool in_v2 = unified != mounted.end() &&
                       (unified->has(controller) || controller == "cpuacct");
    if (v1 != nullptr) {
      add(*v1);
    } else if (in_v2) {
      add(*unified);
    } else {
      return Error{Errc::unavailable, "cgroup controller '" + std::string(controller) +
                                          "' is not available: mount it (v1), or add it to "
                                          "cgroup.subtree_control (v2); see tare doctor"};
    }
  }
  if (unified != mounted.end()) {
    add(*unified);
  } else if (const Hierarchy* freezer = with(mounted, "freezer", false); freezer != nullptr) {
    add(*freezer);
  } else {
    return Error{
        Errc::unavailable,
        "neither cgroup2 nor the v1 freezer is mounted: a whole sandbox could not be killed"};
  }
  return needed;
}

}  // namespace tare::sandbox
