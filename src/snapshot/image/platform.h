// For which machines an image is: "linux/amd64", "linux/arm/v7". Pure. Errors: Errc::invalid.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxPlatformBytes = 128;

struct Platform {
  std::string os, architecture, variant;

  std::string text() const;
  // Does an image for `other` do for one who wants this? Without a variant any does.
  bool takes(const Platform& other) const;
  friend bool operator==(const Platform&, const Platform&) = default;
};

// "OS/ARCHITECTURE" or "OS/ARCHITECTURE/VARIANT", lower-case letters, digits, . _ and -.
Result<Platform> parse_platform(std::string_view text);
// This machine's, with OCI's (Go's) words.
Platform own_platform();

}  // namespace tare::snapshot
