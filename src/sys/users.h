// System users by name, and becoming one for good.
//
// A user is looked for in /etc/passwd (passwd(5)), then by getent(1), which knows the name services
// that are set up (nsswitch.conf(5)). Not by getpwnam(3): a program that is linked whole cannot
// load those.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace tare::sys {

struct SystemUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};

Result<SystemUser> find_user(std::string_view name);  // not_found names the fix

// The calling user.
Result<SystemUser> own_user();

// Drops groups, gid and uid for good; verifies that there is no way back. No-op when already that
// user.
Result<> become(const SystemUser& user);

// For as long as it is there, what this process makes belongs to `uid`: its real and effective ids
// are that one's, its capabilities stay what they are. For user namespaces: the kernel counts much
// of what is inside against whoever made one, in limits that all of his share (inotify(7),
// mq_overview(7), pending signals, locked memory). The process is root and single-threaded; does
// nothing in one that is not root. The signal of its parent's death (prctl(2)), which a change of
// ids takes away, is there again in the end, and comes then if the parent died meanwhile.
class [[nodiscard]] AsMaker {
 public:
  static Result<AsMaker> take(uid_t uid);
  AsMaker(AsMaker&& other) noexcept
      : taken_(std::exchange(other.taken_, false)),
        parent_(other.parent_),
        death_signal_(other.death_signal_) {}
  AsMaker& operator=(AsMaker&&) = delete;
  ~AsMaker();

 private:
  AsMaker() = default;
  bool taken_ = false;
  pid_t parent_ = 0;
  int death_signal_ = 0;
};

}  // namespace tare::sys
