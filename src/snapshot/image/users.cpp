#include "snapshot/image/users.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "model/image_config.h"

namespace tare::snapshot {

namespace {

// The first four fields of a line of passwd or group.
struct Account {
  std::string_view name;
  std::optional<std::uint32_t> id, group;
};

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view next(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

// By its name, or (a name may look like a number) by its id.
std::optional<Account> find(std::string_view file, std::string_view who) {
  std::optional<Account> by_id;
  while (!file.empty()) {
    std::string_view line = next(file, '\n');
    Account one;
    one.name = next(line, ':');
    (void)next(line, ':');  // the password
    one.id = number(next(line, ':'));
    one.group = number(next(line, ':'));
    if (!one.id || one.name.empty()) continue;
    if (one.name == who) return one;
    if (!by_id && one.id == number(who)) by_id = one;
  }
  return by_id;
}

Error unknown(std::string_view user, std::string_view what) {
  return Error{Errc::invalid,
               "image configuration: User: " + quote(user) + ": " + std::string(what)};
}

}  // namespace

Result<ImageIds> ids_of_user(std::string_view user, std::string_view passwd,
                             std::string_view group) {
  ImageIds ids;
  if (user.empty()) return ids;
  const std::size_t colon = user.find(':');
  const std::string_view name = user.substr(0, colon);
  const auto account = find(passwd, name);
  const auto uid = account ? account->id : number(name);
  if (!uid) return unknown(user, "the image's /etc/passwd has no such user");
  ids.uid = *uid;
  if (account && account->group) ids.gid = *account->group;
  if (colon != std::string_view::npos) {
    const std::string_view group_name = user.substr(colon + 1);
    const auto found = find(group, group_name);
    const auto gid = found ? found->id : number(group_name);
    if (!gid) return unknown(user, "the image's /etc/group has no such group");
    ids.gid = *gid;
  }
  if (ids.uid > model::kMaxImageId || ids.gid > model::kMaxImageId)
    return unknown(user, "its ids are not within 0..65535");
  return ids;
}

}  // namespace tare::snapshot
