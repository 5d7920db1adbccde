// Runners: the platform's code inside a sandbox, versioned apart from environments and agents. What
// runner.toml declares, and one version of a runner as it is kept.
//
//   name = "python"
//   version = "1.0"
//   entry = ["python3", "/opt/tare/runner/main.py"]
//   handshake = ["python3", "/opt/tare/runner/main.py", "--handshake"]
//   handshake_time = "5s"
//   isolated_handshake = true
//   languages = ["python"]
//   needs = ["python3"]
//
// `entry` is what a run executes; the agent's entry is appended to it. `handshake` must print one
// line of JSON that read_handshake() takes, within its time. `isolated_handshake` declares that its
// answer depends on nothing but the runner's files, the environment and the variables. `needs` are
// programs that the environment must have.
//
// Pure values and functions; the text is hostile. Errors: Errc::invalid with file, line, key and
// what is allowed. What never happens: a key that is passed over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"

namespace tare::model {

// Where a sandbox shows its runner, read-only.
inline constexpr std::string_view kRunnerPath = "/opt/tare/runner";
// What a runner and tared have agreed on: the report (model/run_report.h) and the handshake.
inline constexpr std::uint32_t kRunnerProtocol = 1;
inline constexpr std::size_t kMaxRunnerVersionBytes = 63;
inline constexpr std::size_t kMaxRunnerTextBytes = kMaxNameBytes + 1 + kMaxRunnerVersionBytes;
inline constexpr std::size_t kMaxRunnerWords = 16;  // languages; needs
inline constexpr std::size_t kMaxRunnerArgs = 64;
inline constexpr std::uint64_t kMinHandshakeMs = 10;
inline constexpr std::uint64_t kMaxHandshakeMs = 60'000;
inline constexpr std::size_t kMaxHandshakeBytes = 4096;

struct RunnerManifest {
  std::string name;
  std::string version;
  std::string description;
  std::vector<std::string> entry;      // argv; not empty
  std::vector<std::string> handshake;  // argv; not empty
  std::uint64_t handshake_ms = 5'000;
  bool isolated_handshake = false;
  std::vector<std::string> languages;
  std::vector<std::string> needs;

  friend bool operator==(const RunnerManifest&, const RunnerManifest&) = default;
};

Result<RunnerManifest> parse_runner_toml(std::string_view text,
                                         std::string file_name = "runner.toml");

struct Runner {
  std::string tenant;
  RunnerManifest manifest;
  std::string digest;  // of the layer with its files
  std::uint64_t created_ms = 0;

  std::string reference() const { return manifest.name + "@" + manifest.version; }
  friend bool operator==(const Runner&, const Runner&) = default;
};

Json to_json(const Runner& runner);
// Keys it does not know are passed over.
Result<Runner> runner_from_json(const Json& json);

// "python" (the newest) or "python@1.2".
struct RunnerRef {
  std::string name;
  std::string version;  // "": the newest

  std::string text() const { return version.empty() ? name : name + "@" + version; }
  friend bool operator==(const RunnerRef&, const RunnerRef&) = default;
};
Result<RunnerRef> parse_runner_ref(std::string_view text);
Result<RunnerRef> read_runner_ref(const Node& node);

// Letters, digits, . _ + -; begins with a letter or digit.
bool is_runner_version(std::string_view text);

// A file that Python leaves behind when a runner is tried out. Not a part of the runner: it would
// be taken for the source beside it, whatever that says by now.
bool is_compiled(std::string_view path);

// The handshake's output: one line {"tare_runner": <protocol>, ...} and nothing else. Hostile.
Result<> read_handshake(std::string_view output);

}  // namespace tare::model
