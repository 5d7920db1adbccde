#include "model/environment.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/time_text.h"

namespace tare::model {

namespace {

constexpr std::string_view kHost = "host";
constexpr std::string_view kDebian = "debian:";
constexpr std::size_t kMaxSuiteBytes = 32;
constexpr std::size_t kMaxPackageNameBytes = 128;
constexpr std::array<std::string_view, 3> kStates = {"ready", "building", "failed"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

Error refused(std::string_view text, std::string_view why) {
  return Error{Errc::invalid, fmt::format("{} {}", quote(text), why)};
}

Result<std::vector<std::string>> parse_packages(std::string_view text, std::string_view list) {
  std::vector<std::string> packages;
  for (std::string_view rest = list;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    if (!is_package_name(name)) {
      return refused(text,
                     fmt::format("names {}, which is not a Debian package: two or more of a-z, "
                                 "0-9, +, - and ., starting with a letter or digit",
                                 quote(name)));
    }
    packages.emplace_back(name);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  std::sort(packages.begin(), packages.end());
  packages.erase(std::unique(packages.begin(), packages.end()), packages.end());
  if (packages.size() > kMaxPackages) {
    return refused(text, fmt::format("names {} packages, at most {} are allowed", packages.size(),
                                     kMaxPackages));
  }
  return packages;
}

Result<EnvironmentSource> parse_debian(std::string_view text) {
  const std::string_view rest = text.substr(kDebian.size());
  const std::size_t colon = rest.find(':');
  const std::string_view suite = rest.substr(0, colon);
  if (!is_suite_name(suite)) {
    return refused(text,
                   fmt::format("names {}, which is not a Debian suite; write debian:SUITE:PACKAGE,"
                               "PACKAGE such as debian:bookworm:python3",
                               quote(suite)));
  }
  EnvironmentSource source{.kind = EnvironmentSource::Kind::debian, .suite = std::string(suite)};
  if (colon != std::string_view::npos) {
    source.packages = TRY(parse_packages(text, rest.substr(colon + 1)));
  }
  return source;
}

}  // namespace

bool is_package_name(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxPackageNameBytes) return false;
  if (!is_lower(text.front()) && !is_digit(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

bool is_suite_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxSuiteBytes || !is_lower(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '.'; });
}

std::string EnvironmentSource::text() const {
  switch (kind) {
    case Kind::host: return std::string(kHost);
    case Kind::digest:
    case Kind::name: return reference;
    case Kind::debian: break;
  }
  std::string out = fmt::format("{}{}", kDebian, suite);
  char separator = ':';
  for (const std::string& package : packages) {
    out += std::exchange(separator, ',');
    out += package;
  }
  return out;
}

Result<EnvironmentSource> parse_environment_source(std::string_view text) {
  using Kind = EnvironmentSource::Kind;
  if (text.size() > kMaxEnvironmentTextBytes) {
    return refused(text, fmt::format("is {} bytes long, at most {} are allowed", text.size(),
                                     kMaxEnvironmentTextBytes));
  }
  if (text == kHost) return EnvironmentSource{};
  if (text.starts_with(kDebian)) return parse_debian(text);
  if (is_digest(text))
    return EnvironmentSource{.kind = Kind::digest, .reference = std::string(text)};
  if (is_name(text)) return EnvironmentSource{.kind = Kind::name, .reference = std::string(text)};
  return refused(
      text,
      "is not an environment: write host, the name or digest of one that was built, or "
      "debian:SUITE:PACKAGE,PACKAGE; `tare env import` and `tare env pull` take an image "
      "of another program");
}

std::string_view to_string(EnvironmentState state) {
  return kStates.at(static_cast<std::size_t>(state));
}

Result<EnvironmentState> environment_state_from(std::string_view text) {
  const auto* found = std::find(kStates.begin(), kStates.end(), text);
  if (found == kStates.end()) {
    return refused(text, "is not the state of an environment; allowed: ready, building, failed");
  }
  return static_cast<EnvironmentState>(found - kStates.begin());
}

std::vector<std::string> unrepeated(const std::vector<std::string>& layers) {
  std::vector<std::string> out;
  for (auto layer = layers.begin(); layer != layers.end(); ++layer) {
    if (std::find(std::next(layer), layers.end(), *layer) == layers.end()) out.push_back(*layer);
  }
  return out;
}

std::string digest_of_layers(const std::vector<std::string>& layers) {
  CHECK(!layers.empty());
  if (layers.size() == 1) return layers.front();
  std::string text = "tare-environment 1\n";
  for (const std::string& layer : layers) text += layer + "\n";
  return sha256_text(text);
}

namespace {

// The flat layers stand for some of the layers, and for nothing more.
Result<> check_flat(const Environment& environment) {
  if (environment.flat_depth <= environment.layers.size() &&
      environment.flat.empty() == (environment.flat_depth == 0))
    return ok();
  return field_error("flat_depth", "it does not fit the layers");
}

}  // namespace

bool FlatLayers::stands_in(const std::vector<std::string>& layers) const {
  return !flat.empty() && of.size() <= layers.size() &&
         std::equal(of.begin(), of.end(), layers.begin());
}

Json to_json(const FlatLayers& flat) {
  return JsonObject{
      {"of", text_list(flat.of)}, {"flat", text_list(flat.flat)}, {"older", text_list(flat.older)}};
}

Result<FlatLayers> read_flat_layers(const Node& node) {
  FlatLayers out;
  Fields fields(node);
  fields.required("of", out.of, list_of(read_digest, kMaxEnvironmentLayers));
  fields.required("flat", out.flat, list_of(read_digest, kMaxLayers));
  fields.required("older", out.older, list_of(read_digest, kMaxEnvironmentLayers));
  TRY(fields.finish());
  if (out.of.empty() != out.flat.empty()) return field_error("flat", "it stands for no layers");
  return out;
}

Environment with_flat(Environment environment, const FlatLayers& flat) {
  environment = without_flat(std::move(environment));
  environment.flat_older = flat.older;
  if (!flat.stands_in(environment.layers)) return environment;
  environment.flat = flat.flat;
  environment.flat_depth = static_cast<std::uint32_t>(flat.of.size());
  return environment;
}

Environment without_flat(Environment environment) {
  environment.flat.clear();
  environment.flat_older.clear();
  environment.flat_depth = 0;
  return environment;
}

std::string digest_of_environment(const std::vector<std::string>& layers,
                                  const ImageConfig& config) {
  if (config.empty()) return digest_of_layers(layers);
  CHECK(!layers.empty());
  std::string text = "tare-environment 2\n";
  for (const std::string& layer : layers) text += layer + "\n";
  return sha256_text(text + canonical_text(config));
}

Json to_json(const Environment& environment) {
  JsonObject object{
      {"tenant", environment.tenant},         {"name", environment.name},
      {"source", environment.source},         {"state", to_string(environment.state)},
      {"digest", environment.digest},         {"layers", text_list(environment.layers)},
      {"size_bytes", environment.size_bytes}, {"files", environment.files},
      {"created_ms", environment.created_ms}, {"reproducible", environment.is_reproducible()},
  };
  if (environment.created_ms != 0) object["created_at"] = format_utc(environment.created_ms);
  if (!environment.flat.empty()) {
    object["flat"] = text_list(environment.flat);
    object["flat_depth"] = environment.flat_depth;
  }
  if (!environment.flat_older.empty()) object["flat_older"] = text_list(environment.flat_older);
  if (!environment.config.empty()) object["config"] = to_json(environment.config);
  if (!environment.build.empty()) object["build"] = environment.build;
  if (environment.online_build) object["online_build"] = true;
  return object;
}

Result<Environment> read_environment(const Node& node) {
  Environment out;
  std::string for_people;
  Fields fields(node);
  fields.optional("tenant", out.tenant, text(kMaxNameBytes));
  fields.required("name", out.name, text(kMaxEnvironmentTextBytes, 1));
  fields.required("source", out.source, text(kMaxEnvironmentTextBytes, 1));
  fields.required("state", out.state, parsed(environment_state_from));
  fields.required("digest", out.digest, read_digest_or_empty);
  fields.optional("layers", out.layers, list_of(read_digest, kMaxEnvironmentLayers));
  fields.optional("flat", out.flat, list_of(read_digest, kMaxLayers));
  fields.optional("flat_older", out.flat_older, list_of(read_digest, kMaxEnvironmentLayers));
  fields.optional("flat_depth", out.flat_depth, integer<std::uint32_t>(0, kMaxEnvironmentLayers));
  fields.optional("config", out.config, read_image_config);
  fields.required("size_bytes", out.size_bytes, integer<std::uint64_t>(0, kMaxCount));
  fields.optional("files", out.files, integer<std::uint64_t>(0, kMaxCount));
  fields.required("created_ms", out.created_ms, integer<std::uint64_t>(0, kMaxCount));
  fields.optional("created_at", for_people, text(kMaxNameBytes));
  fields.optional("build", out.build, text(kRunIdBytes));
  bool said = false;  // follows from the digest; older records say what they were made of
  fields.optional("reproducible", said, boolean());
  fields.optional("online_build", out.online_build, boolean());
  TRY(fields.finish());
  TRY(check_flat(out));
  return out;
}

Result<Environment> environment_from_json(const Json& json) {
  return read_environment(Node(json, Unknown::ignore));
}

}  // namespace tare::model
