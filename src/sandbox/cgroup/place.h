// Where on a host of pure cgroup v2 our cgroups go: the unified hierarchy has an owner, and a
// process without rights over all of it makes cgroups only below one that was handed to it
// ("delegated").
//
//   the nearest folder at or above our own cgroup that is marked (user.delegate=1, which systemd
//   sets for Delegate=yes); else, for an ordinary user, the topmost one in a row that is theirs;
//   else, for root, the hierarchy itself
//
// No process may be in a cgroup whose children have controllers ("no internal processes"), the root
// of the hierarchy excepted: those in our place, this one among them, move to its child tare-host.
// On v1 and hybrid hosts nothing is delegated: the hierarchies themselves.
//
// Single thread. Errors: Errc::denied, naming what would have to be allowed, and how.
// Sources: cgroup-v2.rst ("Delegation", "No Internal Process Constraint"), systemd's
// CGROUP_DELEGATION.md, xattr(7).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/cgroup/hierarchies.h"

namespace tare::sandbox {

// Ours in the unified hierarchy, from the text of /proc/self/cgroup: "/user.slice/..."; nullopt
// when there is none, or it is outside of what we see ("/..").
std::optional<std::string> parse_own_cgroup(std::string_view text);

struct PlaceQuery {
  std::string mount;            // of the unified hierarchy
  std::string own;              // as parse_own_cgroup() says
  std::optional<uid_t> person;  // an ordinary user, by the id that we see; nullopt: root
};

// The folder. Reads only.
Result<std::string> find_place(const PlaceQuery& query);

// Moves the processes of `place` to its child tare-host; nothing in the root of the hierarchy.
Result<> vacate(const std::string& place);

// May an ordinary user be handed cgroups on a host with these hierarchies? Errc::denied, naming the
// limits and the fix, when any of them is v1.
Result<> check_delegable(const std::vector<Hierarchy>& mounted);

// All of this for the calling process: what CgroupRoot::open() needs, controllers read, paths those
// of the places. Changes nothing.
Result<std::vector<Hierarchy>> usable_hierarchies(std::optional<uid_t> person);

}  // namespace tare::sandbox
