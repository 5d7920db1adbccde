// What an environment that came from an image says of its programs: the part of an OCI image
// configuration that Tare keeps. Used by a run, agent or session that does not say otherwise.
//
// Pure values. Errors: Errc::invalid naming the field. Source: OCI image-spec, config.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/json.h"
#include "base/result.h"

namespace tare::model {

inline constexpr std::size_t kMaxImageConfigBytes = std::size_t{24} << 10;  // all its texts
inline constexpr std::size_t kMaxImageUserBytes = 256;
inline constexpr std::uint32_t kMaxImageId = 65'535;  // a sandbox has 65,536 ids

struct ImageConfig {
  std::vector<std::string> entrypoint = {}, cmd = {};
  std::vector<std::string> env = {};  // "NAME=value"
  std::string user = {};           // as the image has it, "node" or "1000:1000"; "": it says none
  std::uint32_t uid = 0, gid = 0;  // which that is in the image's /etc/passwd; 0 without `user`
  std::string workdir = {};        // absolute, or ""

  // It says nothing: as if there were none.
  bool empty() const { return *this == ImageConfig{}; }
  // What it starts, entrypoint and cmd; empty when it names no program.
  std::vector<std::string> command() const;
  // Who that is in a sandbox (model/profile.h): "" when it says none.
  std::string sandbox_user() const;

  friend bool operator==(const ImageConfig&, const ImageConfig&) = default;
};

Result<> check_image_config(const ImageConfig& config);

Json to_json(const ImageConfig& config);
// Checked, too.
Result<ImageConfig> read_image_config(const Node& node);

// The lines that the digest of an environment covers it by (docs/store_format.md).
std::string canonical_text(const ImageConfig& config);

}  // namespace tare::model
