#include "model/profile.h"

#include <fmt/core.h>

#include "base/check.h"
#include "base/text.h"

namespace tare::model {

std::string_view to_string(Profile profile) {
  switch (profile) {
    case Profile::strict: return "strict";
    case Profile::standard: return "default";
    case Profile::build: return "build";
  }
  CHECK(false);
}

Result<Profile> profile_from(std::string_view text) {
  for (const Profile profile : {Profile::strict, Profile::standard, Profile::build}) {
    if (to_string(profile) == text) return profile;
  }
  return Error{Errc::invalid,
               fmt::format("{} is not a profile; allowed: strict, default, build", quote(text))};
}

Result<std::uint32_t> uid_of_user(std::string_view user) {
  if (user == "agent") return std::uint32_t{1000};
  if (user == "root") return std::uint32_t{0};
  return Error{Errc::invalid, fmt::format("{} is not a user; allowed: agent, root", quote(user))};
}

}  // namespace tare::model
