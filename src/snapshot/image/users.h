// Which ids the text `User` of an image's configuration means: "", "node", "1000", "node:www",
// "1000:1000". Names are looked up in the image's own /etc/passwd and /etc/group, hostile texts.
// Pure. Errors: Errc::invalid naming what is not there.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxAccountFileBytes = std::size_t{4} << 20;

struct ImageIds {
  std::uint32_t uid = 0, gid = 0;
  friend bool operator==(const ImageIds&, const ImageIds&) = default;
};
// A number needs no entry; its group is that of the user's entry, or 0.
Result<ImageIds> ids_of_user(std::string_view user, std::string_view passwd,
                             std::string_view group);

}  // namespace tare::snapshot
