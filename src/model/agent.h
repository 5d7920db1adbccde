// Agents: what agent.toml declares, and one immutable version of it.
//
//   name = "stock-analyst"
//   environment = "debian:bookworm:python3,python3-matplotlib"
//   entry = ["python3", "analyse.py"]
//   files = ["analyse.py", "lib"]
//   [limits]
//   memory = "256M"
//   time = "30s"
//   [env]
//   MODE = "full"
//
// With a runner (model/runner.h), the entry is one text that the runner understands:
//
//   runner = "python"              # the newest, or what was rolled out; "python@1.2": that one
//   entry = "main.py:handler"
//
// Pure values and functions; the text is hostile. Errors: Errc::invalid with file, line, key and
// what is allowed. What never happens: a key that is passed over, a path that leads out of the
// agent's folder, a TARE_ variable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/json.h"
#include "base/result.h"
#include "model/limits.h"

namespace tare::model {

struct AgentManifest {
  std::string name;
  std::string description;
  std::string environment = "host";  // canonical text of an EnvironmentSource
  std::string runner = {};           // text of a RunnerRef, "" for none
  std::vector<std::string> entry;    // argv, not empty; with a runner one text for it
  std::vector<std::string> files;    // relative paths of files and folders, sorted
  std::string user = "agent";
  std::string profile = "default";
  Limits limits;
  std::vector<std::string> env;  // "NAME=value", sorted

  friend bool operator==(const AgentManifest&, const AgentManifest&) = default;
};

// `file_name` is what errors call the text.
Result<AgentManifest> parse_agent_toml(std::string_view text, std::string file_name = "agent.toml");

// The record form: sizes and times as integers. Not the form of agent.toml.
Json to_json(const AgentManifest& manifest);
Result<AgentManifest> read_agent_manifest(const Node& node);

// One line; the same for two agent.toml that mean the same.
std::string canonical_text(const AgentManifest& manifest);
// SHA-256 of the canonical text, "sha256:...": an apply that does not change it makes no new
// version.
std::string manifest_digest(const AgentManifest& manifest);

struct Agent {
  std::string tenant;
  std::string name;
  std::uint32_t version = 0;  // counts from 1
  AgentManifest manifest;
  std::string environment_digest;                    // "" for `host`
  std::vector<std::string> environment_layers = {};  // as in RunRequest
  std::string files_digest;                          // layer with its files, "" for none
  std::uint64_t created_ms = 0;

  friend bool operator==(const Agent&, const Agent&) = default;
};

// As docs/api/openapi.yaml has it: the manifest's fields flat for readers, and `manifest`, its
// canonical text, from which agent_from_json takes them back. Keys it does not know are passed
// over.
Json to_json(const Agent& agent);
Result<Agent> agent_from_json(const Json& json);

}  // namespace tare::model
