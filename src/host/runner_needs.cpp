#include "host/runner_needs.h"

#include <algorithm>
#include <deque>

#include <fmt/core.h>

#include "base/text.h"
#include "host/environment_diff.h"
#include "host/host_programs.h"

namespace tare::host {

namespace {

constexpr int kMaxSymlinks = 40;  // as the kernel follows
constexpr std::uint32_t kExecutable = 0111;

std::deque<std::string> parts_of(std::string_view path) {
  std::deque<std::string> parts;
  for (const std::string_view part : split(path, '/'))
    if (!part.empty()) parts.emplace_back(part);
  return parts;
}

// What an absolute path leads to; null: nowhere. A loop ends with the count.
const snapshot::ManifestEntry* resolve(const snapshot::SeenTree& tree, std::string_view path) {
  std::deque<std::string> left = parts_of(path);
  std::vector<std::string> at;  // the folders from the root
  int symlinks = 0;
  const snapshot::ManifestEntry* found = nullptr;
  while (!left.empty()) {
    std::string part = std::move(left.front());
    left.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      if (!at.empty()) at.pop_back();
      found = nullptr;  // a folder: no program
      continue;
    }
    at.push_back(std::move(part));
    std::string key = at.front();
    for (std::size_t i = 1; i < at.size(); ++i) key += "/" + at[i];
    const auto entry = tree.find(key);
    if (entry == tree.end()) return nullptr;
    found = &entry->second;
    if (found->type != snapshot::EntryType::symlink) continue;
    if (++symlinks > kMaxSymlinks) return nullptr;
    at.pop_back();
    if (found->target.starts_with('/')) at.clear();
    const auto more = parts_of(found->target);
    left.insert(left.begin(), more.begin(), more.end());
  }
  return found;
}

bool is_program(const snapshot::SeenTree& tree, std::string_view path) {
  const snapshot::ManifestEntry* entry = resolve(tree, path);
  return entry != nullptr && entry->type == snapshot::EntryType::file &&
         (entry->mode & kExecutable) != 0;
}

}  // namespace

bool has_program(const snapshot::SeenTree& tree, std::string_view name, std::string_view path) {
  if (name.starts_with('/')) return is_program(tree, name);
  return std::ranges::any_of(split(path, ':'), [&](std::string_view folder) {
    return folder.starts_with('/') && is_program(tree, fmt::format("{}/{}", folder, name));
  });
}

Result<std::string> missing_program(const std::vector<std::string>& names, std::string_view path,
                                    const std::vector<std::string>& layers, StoreLink& store,
                                    fiber::Offload& offload, const fiber::Context& ctx) {
  const auto first_without = [&](const auto& has) {
    const auto missing = std::ranges::find_if_not(names, has);
    return missing == names.end() ? std::string() : *missing;
  };
  if (layers.empty()) {
    return first_without(
        [&](const std::string& name) { return find_host_program(name, path).has_value(); });
  }
  const auto manifests = TRY(open_manifests(layers, store, ctx));
  return offload.run(
      [&]() -> Result<std::string> {
        const snapshot::SeenTree tree = TRY(merge_manifests(manifests)).seen();
        return first_without(
            [&](const std::string& name) { return has_program(tree, name, path); });
      },
      ctx);
}

}  // namespace tare::host
