// Environments: the frozen file trees that runs start from.
//
// EnvironmentSource is what people write to name one:
//   host                        the host's own /usr and friends; has no digest, not reproducible
//   debian:SUITE                a minimal Debian of that suite
//   debian:SUITE:PKG,PKG,...    with these packages; the canonical text has them sorted, each once
//   sha256:...                  exactly this one
//   NAME                        one that was built before and given a name
// Pure values and functions. Errors: Errc::invalid quoting the text and naming the fault.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/json.h"
#include "base/result.h"
#include "model/image_config.h"

namespace tare::model {

struct EnvironmentSource {
  enum class Kind : std::uint8_t { host, debian, digest, name };
  Kind kind = Kind::host;
  std::string suite = {};                  // of `debian`
  std::vector<std::string> packages = {};  // of `debian`: sorted, each once; may be empty
  std::string reference = {};              // the name or digest

  // The one spelling that all texts with this meaning have.
  std::string text() const;

  friend bool operator==(const EnvironmentSource&, const EnvironmentSource&) = default;
};

Result<EnvironmentSource> parse_environment_source(std::string_view text);

// Debian Policy 5.6.7: at least two of a-z, 0-9, + - . starting with a letter or digit.
bool is_package_name(std::string_view text);
// "bookworm", "bookworm-backports": a-z, 0-9, - and ., starting with a letter.
bool is_suite_name(std::string_view text);

enum class EnvironmentState : std::uint8_t { ready, building, failed };
std::string_view to_string(EnvironmentState state);
Result<EnvironmentState> environment_state_from(std::string_view text);

inline constexpr std::size_t kMaxEnvironmentLayers = 512;

// What is mounted instead of the lowest layers of an environment, and shows the same. Follows from
// those layers: it is of the environment's digest, whatever names that has, or none any more.
struct FlatLayers {
  std::vector<std::string> of = {};     // the lowest layers, lowest first
  std::vector<std::string> flat = {};   // what stands for them
  std::vector<std::string> older = {};  // what did before: runs may still have it mounted

  // Of these layers?
  bool stands_in(const std::vector<std::string>& layers) const;

  friend bool operator==(const FlatLayers&, const FlatLayers&) = default;
};

Json to_json(const FlatLayers& flat);
Result<FlatLayers> read_flat_layers(const Node& node);

struct Environment {
  std::string tenant = {};
  std::string name = {};    // a name, or the source's text when none was given
  std::string source = {};  // canonical
  EnvironmentState state = EnvironmentState::ready;
  std::string digest = {};               // "" for `host` and until it is ready
  std::vector<std::string> layers = {};  // digests, lowest first
  // FlatLayers of the digest, `of` as the number of layers. No part of the identity, nor of what is
  // kept under the name.
  std::vector<std::string> flat = {}, flat_older = {};
  std::uint32_t flat_depth = 0;
  ImageConfig config = {};  // of an image; empty for most
  std::uint64_t size_bytes = 0;
  std::uint64_t files = 0;
  std::uint64_t created_ms = 0;
  std::string build = {};     // id of the run that builds or built it, or ""
  bool online_build = false;  // the commands that build it have the host's network

  // What is begun on it finds the same bytes each time. Follows from the digest: the same for all
  // of one digest, wherever they come from. Not `host`, nor what is not ready.
  bool is_reproducible() const { return !digest.empty(); }

  friend bool operator==(const Environment&, const Environment&) = default;
};

// Of one that is there more than once only the highest counts: it hides and shows all that a lower
// one of the same digest does. (The kernel refuses the same layer twice.)
std::vector<std::string> unrepeated(const std::vector<std::string>& layers);

// The environment with these, as far as they stand in its layers.
Environment with_flat(Environment environment, const FlatLayers& flat);
// Without any.
Environment without_flat(Environment environment);

// The digest of an environment that is made of these: with one it is that of the layer.
std::string digest_of_layers(const std::vector<std::string>& layers);
// With its configuration; an empty one changes nothing.
std::string digest_of_environment(const std::vector<std::string>& layers,
                                  const ImageConfig& config);

Json to_json(const Environment& environment);
Result<Environment> read_environment(const Node& node);
// Passes over keys it does not know.
Result<Environment> environment_from_json(const Json& json);

}  // namespace tare::model
