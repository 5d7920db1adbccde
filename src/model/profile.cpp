#include "model/profile.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

#include "base/check.h"
#include "base/text.h"

namespace tare::model {

namespace {

bool read_number(std::string_view text, std::uint32_t& value) {
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
}

}  // namespace

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

bool is_named_user(std::string_view user) { return user == "agent" || user == "root"; }

std::string user_of_ids(const UserIds& ids) {
  if (ids == UserIds{0, 0}) return "root";
  if (ids == UserIds{1000, 1000}) return "agent";
  return fmt::format("{}:{}", ids.uid, ids.gid);
}

Result<UserIds> ids_of_user(std::string_view user) {
  if (user == "agent") return UserIds{1000, 1000};
  if (user == "root") return UserIds{0, 0};
  UserIds ids;
  const std::size_t colon = std::min(user.find(':'), user.size());
  const bool numbers = read_number(user.substr(0, colon), ids.uid) &&
                       read_number(user.substr(std::min(colon + 1, user.size())), ids.gid);
  // One spelling of each.
  if (numbers && ids.uid <= kMaxUserId && ids.gid <= kMaxUserId && user_of_ids(ids) == user)
    return ids;
  return Error{Errc::invalid,
               fmt::format("{} is not a user; allowed: agent, root, or an image's UID:GID up to {}",
                           quote(user), kMaxUserId)};
}

}  // namespace tare::model
