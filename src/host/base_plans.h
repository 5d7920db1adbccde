// The base plans of this daemon's launches: encoded, hashed and sealed once for each kind, as each
// run of a kind begins with the same.
//
// Owner: the daemon, by RunDeps. Loop thread only. Bounded: kinds beyond kMost push out all others.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "sandbox/plan/compile.h"
#include "sys/fd.h"

namespace tare::host {

// What stands around programs: the system call filters, compiled once at start, by profile; and the
// version of Landlock that this kernel has.
struct Filters {
  std::string strict, standard, build;
  int landlock_abi = 0;

  const std::string& of(model::Profile profile) const {
    if (profile == model::Profile::strict) return strict;
    return profile == model::Profile::build ? build : standard;
  }
  sandbox::Walls walls(model::Profile profile) const { return {of(profile), landlock_abi}; }
};

class BasePlans {
 public:
  explicit BasePlans(const Filters& filters) : filters_(filters) {}

  struct Sealed {
    std::string digest;
    sys::UniqueFd fd;  // a sealed memfd: shared by all launches of the kind
  };
  // Valid until the next call.
  Result<const Sealed*> of(const sandbox::BaseKind& kind);

 private:
  static constexpr std::size_t kMost = 32;
  const Filters& filters_;
  std::map<sandbox::BaseKind, Sealed> sealed_;
};

}  // namespace tare::host
