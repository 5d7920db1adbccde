#include "model/agent.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time_text.h"
#include "base/toml.h"
#include "model/environment.h"
#include "model/limits_json.h"
#include "model/relative_path.h"
#include "model/runner.h"
#include "model/validate.h"

namespace tare::model {

namespace {

using B = LimitBounds;

Result<std::string> read_name(const Node& node) {
  std::string name = TRY(read_text(node, kMaxArgBytes, 0));
  TRY(placed(node, check_name("name", name)));
  return name;
}

Result<std::string> environment_text(std::string_view text) {
  return TRY(parse_environment_source(text)).text();
}

Result<std::string> read_runner(const Node& node) { return TRY(read_runner_ref(node)).text(); }

// A list; where it is allowed, one text alone, for a runner.
Result<std::vector<std::string>> read_entry(const Node& node) {
  if (node.value().is_string()) {
    std::vector<std::string> entry = {TRY(read_text(node, kMaxArgBytes, 1))};
    TRY(placed(node, check_argv("entry", entry)));
    return entry;
  }
  auto entry = TRY(list_of(text(kMaxArgBytes), kMaxArgs, 1)(node));
  TRY(placed(node, check_argv("entry", entry)));
  return entry;
}

Result<std::string> read_path(const Node& node) {
  std::string path = TRY(read_text(node, kMaxArgBytes, 0));
  TRY(placed(node, check_relative_path("path", path)));
  return path;
}

Result<std::vector<std::string>> read_files(const Node& node) {
  auto files = TRY(list_of(read_path, kMaxAgentFiles)(node));
  std::sort(files.begin(), files.end());
  const auto twice = std::adjacent_find(files.begin(), files.end());
  if (twice != files.end()) return node.refuse(fmt::format("{} is there twice", quote(*twice)));
  return files;
}

Result<Limits> read_toml_limits(const Node& node) {
  Limits limits;
  Fields fields(node);
  fields.optional("memory", limits.memory_bytes, size_text(B::kMemoryMin, B::kMemoryMax));
  fields.optional("cpu", limits.cpu_millis, thousandths(B::kCpuMin, B::kCpuMax));
  fields.optional("pids", limits.pids, integer<std::uint32_t>(B::kPidsMin, B::kPidsMax));
  fields.optional("disk", limits.disk_bytes, size_text(B::kDiskMin, B::kDiskMax));
  fields.optional("inodes", limits.disk_inodes,
                  integer<std::uint64_t>(B::kInodesMin, B::kInodesMax));
  fields.optional("output", limits.output_bytes, size_text(0, B::kOutputMax));
  fields.optional("time", limits.time_ms, duration_text(0, B::kTimeMaxMs));
  fields.optional("open_files", limits.open_files,
                  integer<std::uint32_t>(B::kOpenFilesMin, B::kOpenFilesMax));
  TRY(fields.finish());
  return limits;
}

// The table [env]: NAME = "value".
Result<std::vector<std::string>> read_env_table(const Node& node) {
  const JsonObject* table = node.value().if_object();
  if (table == nullptr) return node.expected(node.object_word());
  std::vector<std::string> env;
  for (const auto& member : *table) {
    const std::string_view name = member.key();
    const Node value = node.member(name, member.value());
    TRY(placed(value, check_env_name("name", name)));
    env.push_back(fmt::format("{}={}", name, TRY(read_text(value, kMaxEnvBytes, 0))));
  }
  std::sort(env.begin(), env.end());
  TRY(placed(node, check_env("env", env)));
  return env;
}

Result<std::vector<std::string>> read_env_list(const Node& node) {
  auto env = TRY(list_of(text(kMaxEnvBytes), kMaxEnv)(node));
  TRY(placed(node, check_env("env", env)));
  return env;
}

// The keys that agent.toml and the record have in common.
void read_common(Fields& fields, AgentManifest& manifest) {
  fields.required("name", manifest.name, read_name);
  fields.optional("description", manifest.description, text(kMaxDescriptionBytes));
  fields.required("environment", manifest.environment, parsed(environment_text));
  fields.optional("runner", manifest.runner, read_runner);
  fields.required("entry", manifest.entry, read_entry);
  fields.optional("files", manifest.files, read_files);
  fields.optional("user", manifest.user, choice({"agent", "root"}));
  fields.optional("profile", manifest.profile, choice({"strict", "default", "build"}));
}

// One text with a runner, argv without.
Result<> check_entry(const Node& root, const AgentManifest& manifest) {
  const Json& entry = root.value().as_object().at("entry");
  const Node node = root.member("entry", entry);
  if (manifest.runner.empty() && entry.is_string())
    return node.refuse("is the program and its arguments, a list; one text is for a `runner`");
  if (manifest.runner.empty() || manifest.entry.size() == 1) return ok();
  return node.refuse("with a runner it is one text for it, such as \"main.py:handler\"");
}

// The manifest inside an Agent: its canonical text.
Result<AgentManifest> read_manifest_text(const Node& node) {
  const JsonLimits limits{.max_bytes = kMaxJsonBodyBytes};
  const auto json = parse_json(TRY(read_text(node, limits.max_bytes, 1)), limits);
  if (!json) return node.refuse(json.error().message);
  auto manifest = read_agent_manifest(Node(*json, node.unknown()));
  if (!manifest) return node.refuse(manifest.error().message);
  return manifest;
}

}  // namespace

Result<AgentManifest> parse_agent_toml(std::string_view text, std::string file_name) {
  const TomlDocument document = TRY(TomlDocument::parse(text, std::move(file_name)));
  const Node root = document.root();
  AgentManifest manifest;
  Fields fields(root);
  read_common(fields, manifest);
  fields.optional("limits", manifest.limits, read_toml_limits);
  fields.optional("env", manifest.env, read_env_table);
  TRY(fields.finish());
  TRY(check_entry(root, manifest));
  return manifest;
}

Json to_json(const AgentManifest& manifest) {
  JsonObject object{
      {"name", manifest.name},
      {"description", manifest.description},
      {"environment", manifest.environment},
      {"entry", text_list(manifest.entry)},
      {"files", text_list(manifest.files)},
      {"user", manifest.user},
      {"profile", manifest.profile},
      {"limits", to_json(manifest.limits)},
      {"env", text_list(manifest.env)},
  };
  // Only where there is one: what was stored before there were runners keeps its digest.
  if (!manifest.runner.empty()) object["runner"] = manifest.runner;
  return object;
}

Result<AgentManifest> read_agent_manifest(const Node& node) {
  AgentManifest manifest;
  Fields fields(node);
  read_common(fields, manifest);
  fields.optional("limits", manifest.limits, read_limits);
  fields.optional("env", manifest.env, read_env_list);
  TRY(fields.finish());
  TRY(check_entry(node, manifest));
  return manifest;
}

std::string canonical_text(const AgentManifest& manifest) {
  return tare::canonical_text(to_json(manifest));
}

std::string manifest_digest(const AgentManifest& manifest) {
  return sha256_text(canonical_text(manifest));
}

Json to_json(const Agent& agent) {
  const AgentManifest& manifest = agent.manifest;
  JsonObject object{
      {"tenant", agent.tenant},
      {"name", agent.name},
      {"version", agent.version},
      {"description", manifest.description},
      {"environment", manifest.environment},
      {"environment_digest", agent.environment_digest},
      {"files_digest", agent.files_digest},
      {"entry", text_list(manifest.entry)},
      {"env", text_list(manifest.env)},
      {"user", manifest.user},
      {"profile", manifest.profile},
      {"limits", to_json(manifest.limits)},
      {"manifest", canonical_text(manifest)},
      {"created_ms", agent.created_ms},
      {"created_at", format_utc(agent.created_ms)},
  };
  if (!manifest.runner.empty()) object["runner"] = manifest.runner;
  if (!agent.environment_layers.empty())
    object["environment_layers"] = text_list(agent.environment_layers);
  return object;
}

Result<Agent> agent_from_json(const Json& json) {
  const Node node(json,
                  Unknown::ignore);  // the flat copies of the manifest's fields are for people
  Agent agent;
  Fields fields(node);
  fields.required("tenant", agent.tenant, text(kMaxNameBytes, 1));
  fields.required("name", agent.name, read_name);
  fields.required("version", agent.version, integer<std::uint32_t>(1));
  fields.required("manifest", agent.manifest, read_manifest_text);
  fields.optional("environment_digest", agent.environment_digest, read_digest_or_empty);
  fields.optional("environment_layers", agent.environment_layers,
                  list_of(read_digest, kMaxEnvironmentLayers));
  fields.optional("files_digest", agent.files_digest, read_digest_or_empty);
  fields.required("created_ms", agent.created_ms, integer<std::uint64_t>(0, kMaxCount));
  TRY(fields.finish());
  if (agent.name != agent.manifest.name) {
    return node.refuse("the manifest has another name than the agent");
  }
  return agent;
}

}  // namespace tare::model
