#include "model/runner.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time_text.h"
#include "base/toml.h"
#include "model/validate.h"

namespace tare::model {

namespace {

constexpr std::size_t kMaxWordBytes = 64;

Result<std::string> read_runner_name(const Node& node) {
  std::string name = TRY(read_text(node, kMaxNameBytes, 0));
  TRY(placed(node, check_name("name", name)));
  return name;
}

Result<std::string> read_version(const Node& node) {
  std::string version = TRY(read_text(node, kMaxArgBytes, 0));
  if (!is_runner_version(version)) {
    return node.refuse(
        fmt::format("{} is no version: 1 to {} of letters, digits and . _ + -, the first a letter "
                    "or digit",
                    quote(version), kMaxRunnerVersionBytes));
  }
  return version;
}

Result<std::vector<std::string>> read_argv(const Node& node) {
  auto argv = TRY(list_of(text(kMaxArgBytes), kMaxRunnerArgs, 1)(node));
  TRY(placed(node, check_argv("argv", argv)));
  return argv;
}

Result<std::string> read_word(const Node& node) {
  std::string word = TRY(read_text(node, kMaxWordBytes, 1));
  const bool plain = std::ranges::all_of(
      word, [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != '"' && c != '\\'; });
  if (!plain) return node.refuse("is a name: no space, slash, quote or control character");
  return word;
}

void read_common(Fields& fields, RunnerManifest& manifest) {
  fields.required("name", manifest.name, read_runner_name);
  fields.required("version", manifest.version, read_version);
  fields.optional("description", manifest.description, text(kMaxDescriptionBytes));
  fields.required("entry", manifest.entry, read_argv);
  fields.required("handshake", manifest.handshake, read_argv);
  fields.optional("isolated_handshake", manifest.isolated_handshake, boolean());
  fields.optional("languages", manifest.languages, list_of(read_word, kMaxRunnerWords));
  fields.optional("needs", manifest.needs, list_of(read_word, kMaxRunnerWords));
}

}  // namespace

Result<RunnerManifest> parse_runner_toml(std::string_view text, std::string file_name) {
  const TomlDocument document = TRY(TomlDocument::parse(text, std::move(file_name)));
  const Node root = document.root();
  RunnerManifest manifest;
  Fields fields(root);
  read_common(fields, manifest);
  fields.optional("handshake_time", manifest.handshake_ms,
                  duration_text(kMinHandshakeMs, kMaxHandshakeMs));
  TRY(fields.finish());
  return manifest;
}

Json to_json(const Runner& runner) {
  const RunnerManifest& manifest = runner.manifest;
  return JsonObject{
      {"tenant", runner.tenant},
      {"name", manifest.name},
      {"version", manifest.version},
      {"digest", runner.digest},
      {"description", manifest.description},
      {"entry", text_list(manifest.entry)},
      {"handshake", text_list(manifest.handshake)},
      {"handshake_ms", manifest.handshake_ms},
      {"isolated_handshake", manifest.isolated_handshake},
      {"languages", text_list(manifest.languages)},
      {"needs", text_list(manifest.needs)},
      {"created_ms", runner.created_ms},
      {"created_at", format_utc(runner.created_ms)},
  };
}

Result<Runner> runner_from_json(const Json& json) {
  const Node node(json, Unknown::ignore);
  Runner runner;
  Fields fields(node);
  fields.required("tenant", runner.tenant, text(kMaxNameBytes, 1));
  read_common(fields, runner.manifest);
  fields.required("handshake_ms", runner.manifest.handshake_ms,
                  integer<std::uint64_t>(kMinHandshakeMs, kMaxHandshakeMs));
  fields.required("digest", runner.digest, read_digest);
  fields.required("created_ms", runner.created_ms, integer<std::uint64_t>(0, kMaxCount));
  TRY(fields.finish());
  return runner;
}

bool is_runner_version(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (text.empty() || text.size() > kMaxRunnerVersionBytes || !plain(text.front())) return false;
  return std::ranges::all_of(
      text, [&](char c) { return plain(c) || c == '.' || c == '_' || c == '+' || c == '-'; });
}

bool is_compiled(std::string_view path) {
  return path.ends_with(".pyc") || path.ends_with(".pyo") ||
         path.find("__pycache__/") != std::string_view::npos;
}

Result<RunnerRef> parse_runner_ref(std::string_view text) {
  const std::size_t at = text.find('@');
  RunnerRef ref;
  ref.name = text.substr(0, at);
  TRY(check_name("runner", ref.name));
  if (at == std::string_view::npos) return ref;
  ref.version = text.substr(at + 1);
  if (!is_runner_version(ref.version)) {
    return field_error("runner", quote(text) + " is not a runner: write NAME or NAME@VERSION");
  }
  return ref;
}

Result<RunnerRef> read_runner_ref(const Node& node) {
  auto ref = parse_runner_ref(TRY(read_text(node, kMaxArgBytes, 0)));
  if (ref) return ref;
  return placed(node, std::move(ref).error()).error();
}

Result<> read_handshake(std::string_view output) {
  const auto refuse = [](std::string_view why) {
    return Error{Errc::invalid, fmt::format("the handshake {}", why)};
  };
  if (output.size() > kMaxHandshakeBytes)
    return refuse(fmt::format("printed more than {} bytes", kMaxHandshakeBytes));
  if (!output.ends_with('\n') || output.find('\n') != output.size() - 1)
    return refuse("did not print exactly one line");
  const auto json = parse_json(output, JsonLimits{.max_bytes = kMaxHandshakeBytes});
  if (!json) return refuse("printed no JSON: " + json.error().message);
  std::uint64_t protocol = 0;
  const Node node(*json, Unknown::ignore);
  Fields fields(node);
  fields.required("tare_runner", protocol, integer<std::uint64_t>(0, kMaxCount));
  if (auto read = fields.finish(); !read)
    return refuse("printed something else: " + read.error().message);
  if (protocol == kRunnerProtocol) return ok();
  return refuse(fmt::format("speaks protocol {}; this is {}", protocol, kRunnerProtocol));
}

}  // namespace tare::model
