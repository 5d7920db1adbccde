// Root without root: a user namespace of the calling process's own, in which it is uid 0 with every
// capability, over what belongs to the namespace. For Tare run by an ordinary user.
//
//   inside 0..65535   the first 65,536 of the person's ids in /etc/subuid and /etc/subgid
//   inside 65536      the person
//
// Mapped by newuidmap and newgidmap; without that many ids it is refused.
//
// Single-threaded callers only. Errors name what is missing and how to allow it.
// Sources: user_namespaces(7), newuidmap(1), subuid(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tare::sys {

struct IdRange {
  std::uint64_t first = 0, count = 0;
};
// The first range of a user in the text of /etc/subuid or /etc/subgid, by name or by number.
// Any text is accepted.
std::optional<IdRange> subordinate_ids(std::string_view text, std::string_view user, uid_t uid);

inline constexpr std::uint32_t kSubordinateIds = 65'536;  // that are needed

inline constexpr uid_t kPersonInside = kSubordinateIds;

// Becomes uid 0 of a new user namespace. What /proc shows of the process stays out of its reach
// until it has executed a program: its memory is still of the outer namespace.
Result<> become_root_of_own_namespace();

// The same, and then this program again with its arguments, `--inside` in the place of
// `--rootless`. Comes back only to say why not.
Error execute_inside_own_namespace(int argc, char** argv);

// Why that would fail; "" when it would not. Tried in a child process.
std::string why_no_own_namespace();

// Which setting of this host refuses user namespaces to ordinary users, and the fix; "" when none
// is known to.
std::string what_refuses_user_namespaces();

}  // namespace tare::sys
