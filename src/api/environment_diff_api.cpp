// GET /v1/environments/{ref}/diff: what is different between two environments.
#include "api/answers.h"
#include "api/handlers.h"
#include "host/environment_diff.h"
#include "snapshot/manifest.h"

namespace tare::api {

namespace {

using snapshot::Change;

// Beyond these the list is cut; the counts are of all.
constexpr std::size_t kMaxListedChanges = 20'000;
constexpr std::size_t kMaxListedPathBytes = std::size_t{8} << 20;

std::string_view type_text(snapshot::EntryType type) {
  switch (type) {
    case snapshot::EntryType::directory: return "folder";
    case snapshot::EntryType::symlink: return "link";
    case snapshot::EntryType::file:
    case snapshot::EntryType::hardlink:
    case snapshot::EntryType::whiteout: break;  // not in a merged tree, but for files
  }
  return "file";
}

JsonObject side_json(const snapshot::ManifestEntry& entry) {
  JsonObject out{{"type", type_text(entry.type)}};
  if (entry.type == snapshot::EntryType::file) out["size"] = entry.size;
  return out;
}

JsonObject change_json(const snapshot::TreeChange& change) {
  JsonObject out{{"change", snapshot::to_string(change.change)},
                 {"path", snapshot::manifest_text(change.path())}};
  if (change.before) out["before"] = side_json(*change.before);
  if (change.after) out["after"] = side_json(*change.after);
  if (change.change != Change::changed) return out;
  JsonArray aspects;
  for (const snapshot::Aspect aspect : change.aspects)
    aspects.emplace_back(snapshot::to_string(aspect));
  out["aspects"] = std::move(aspects);
  return out;
}

JsonArray packages_json(const std::vector<snapshot::PackageChange>& packages) {
  JsonArray out;
  for (const snapshot::PackageChange& one : packages) {
    JsonObject package{{"name", one.name}};
    if (!one.before.empty()) package["before"] = one.before;
    if (!one.after.empty()) package["after"] = one.after;
    out.push_back(std::move(package));
  }
  return out;
}

// The fields that differ, with what each side has.
JsonArray config_json(const model::ImageConfig& from, const model::ImageConfig& to) {
  const Json before = model::to_json(from), after = model::to_json(to);
  JsonArray out;
  for (const char* name : {"entrypoint", "cmd", "env", "user", "uid", "gid", "workdir"}) {
    const Json* had = before.get_object().if_contains(name);
    const Json* has = after.get_object().if_contains(name);
    if (had == has || (had != nullptr && has != nullptr && *had == *has)) continue;
    JsonObject change{{"name", name}};
    if (had != nullptr) change["before"] = *had;
    if (has != nullptr) change["after"] = *has;
    out.push_back(std::move(change));
  }
  return out;
}

void add_changes(const std::vector<snapshot::TreeChange>& changes, JsonObject& out) {
  std::uint64_t counts[3] = {}, bytes_before = 0, bytes_after = 0;
  std::size_t path_bytes = 0;
  JsonArray list;
  for (const snapshot::TreeChange& change : changes) {
    ++counts[static_cast<std::size_t>(change.change)];
    if (change.before) bytes_before += change.before->size;
    if (change.after) bytes_after += change.after->size;
    path_bytes += change.path().size();
    if (list.size() < kMaxListedChanges && path_bytes <= kMaxListedPathBytes)
      list.push_back(change_json(change));
  }
  out["added"] = counts[static_cast<std::size_t>(Change::added)];
  out["removed"] = counts[static_cast<std::size_t>(Change::removed)];
  out["changed"] = counts[static_cast<std::size_t>(Change::changed)];
  out["bytes_before"] = bytes_before;
  out["bytes_after"] = bytes_after;
  out["cut"] = list.size() < changes.size();
  out["changes"] = std::move(list);
}

JsonObject name_json(const model::Environment& environment) {
  return {{"name", environment.name}, {"digest", environment.digest}};
}

}  // namespace

Result<> diff_environments(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"to"}));
  const std::string to = text_or_empty(exchange.query(), "to");
  if (to.empty()) return field_error("to", "names the environment to compare with");
  // Neither goes before it has been read.
  const auto [before, lease] = TRY(services.environments.find_leased(exchange.parameter("ref")));
  const auto [after, lease_too] = TRY(services.environments.find_leased(to));
  const auto diff = TRY(host::diff_environments(before, after, services.deps.store,
                                                services.deps.offload, exchange.context()));
  JsonObject out{{"from", name_json(before)}, {"to", name_json(after)}};
  add_changes(diff.changes, out);
  if (diff.debian) out["debian"] = packages_json(*diff.debian);
  out["python"] = packages_json(diff.python);
  out["config"] = config_json(before.config, after.config);
  out["notes"] = text_list(diff.notes);
  return reply_json(exchange, 200, Json(std::move(out)));
}

}  // namespace tare::api
