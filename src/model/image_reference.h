// Where an image lies: "registry.example:5000/team/app:1.2", "docker.io/alpine",
// "ghcr.io/a/b@sha256:...". The registry must be named; without tag and digest the tag is `latest`.
//
// Pure. Errors: Errc::invalid quoting the text. Source: OCI distribution-spec 1.1.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::model {

inline constexpr std::size_t kMaxImageReferenceBytes = 512;

struct ImageReference {
  std::string host;    // with its port, if one was given
  std::string name;    // "library/alpine"
  std::string tag;     // "" with a digest alone
  std::string digest;  // "sha256:<64 hex>" or ""

  std::string text() const;
  // What comes behind /manifests/: the digest, if there is one.
  const std::string& version() const { return digest.empty() ? tag : digest; }
  // The host to connect to, with its port: Docker's own registry has another name than its images.
  std::string address() const;
  // On this machine: plain http harms nobody there.
  bool is_loopback() const;
  friend bool operator==(const ImageReference&, const ImageReference&) = default;
};

Result<ImageReference> parse_image_reference(std::string_view text);

}  // namespace tare::model
