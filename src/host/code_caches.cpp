#include "host/code_caches.h"

#include <algorithm>

#include "model/runner.h"

namespace tare::host {

namespace {

constexpr std::string_view kPython = "PYTHONPYCACHEPREFIX=", kNode = "NODE_COMPILE_CACHE=";

bool is_any_of(char c, std::string_view from, std::string_view to, std::string_view more = "") {
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (c >= from[i] && c <= to[i]) return true;
  }
  return more.find(c) != more.npos;
}

// The part before the next '-', which is taken off.
std::string_view next_part(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('-'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

Result<> remove_tree(const std::string& path, const std::string& run, SandboxFiles& files,
                     const fiber::Context& ctx) {
  auto removed = files.run_unkept(run, "remove", {{"cache", path}}, {"1"}, ctx);
  if (removed || removed.error().code == Errc::not_found) return ok();
  return removed;
}

Result<std::vector<std::string>> node_caches(const std::string& folder, const std::string& run,
                                             SandboxFiles& files, const fiber::Context& ctx) {
  std::vector<std::string> found;
  auto listing = TRY(
      files.start(run, "list", {{"cache", folder}}, {std::to_string(kMaxListedEntries)}, ctx));
  if (auto head = listing.head(ctx); !head) {
    if (head.error().code == Errc::not_found) return found;
    return std::move(head).error();
  }
  for (bool end = false, more = false; found.size() < kMostCaches;) {
    const SandboxEntry entry = TRY(listing.entry(end, more, ctx));
    if (end) break;
    if (is_node_cache(entry.name)) found.push_back(folder + "/" + entry.name);
  }
  listing.done();
  return found;
}

}  // namespace

CodeCaches code_caches(const std::vector<std::string>& variables) {
  CodeCaches caches;
  for (const std::string_view variable : variables) {
    // A relative one is another folder for each program that begins elsewhere.
    if (variable.starts_with(kPython) && variable.substr(kPython.size()).starts_with('/'))
      caches.python = std::string(variable.substr(kPython.size())) +
                      std::string(model::kRunnerPath);
    if (variable.starts_with(kNode) && variable.substr(kNode.size()).starts_with('/'))
      caches.node = variable.substr(kNode.size());
  }
  return caches;
}

bool is_node_cache(std::string_view name) {
  const std::string_view version = next_part(name), machine = next_part(name),
                         tag = next_part(name), user = next_part(name);
  const auto digits = [](char c) { return is_any_of(c, "0", "9"); };
  return name.empty() && version.size() > 1 && version.front() == 'v' &&
         std::ranges::all_of(version.substr(1),
                             [](char c) { return is_any_of(c, "0", "9", "."); }) &&
         !machine.empty() && !tag.empty() &&
         std::ranges::all_of(machine, [](char c) { return is_any_of(c, "0a", "9z", "_"); }) &&
         std::ranges::all_of(tag, [](char c) { return is_any_of(c, "0a", "9f"); }) &&
         std::ranges::all_of(user, digits);
}

Result<> purge(const CodeCaches& caches, const std::string& run, SandboxFiles& files,
               const fiber::Context& ctx) {
  const auto patient = ctx.with_timeout(kPurgePatience);
  if (!caches.python.empty()) TRY(remove_tree(caches.python, run, files, patient));
  if (caches.node.empty()) return ok();
  for (const std::string& folder : TRY(node_caches(caches.node, run, files, patient)))
    TRY(remove_tree(folder, run, files, patient));
  return ok();
}

}  // namespace tare::host
