// A small sandbox for one experiment: a child in new namespaces, with ids of its own, in a cgroup
// when one is given, that performs one function as root inside and says how it went.
//
// The child dies with its parent, whenever that is; the destructor kills and reaps it. Its body may
// make async-signal-safe calls only (see sys/process.h). Single thread. Sources: clone3 (clone(2)),
// user_namespaces(7).
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "sandbox/cgroup/cgroup.h"
#include "sandbox/plan/plan.h"
#include "sandbox/rootfs/slots.h"
#include "sandbox/rootfs/user_namespaces.h"
#include "sys/fd.h"
#include "sys/process.h"

namespace tare::sandbox {

// Host ids of what is inside: the last range of the last block, the last that a launcher would use.
// In a user namespace of our own, which has no such ids, all that is inside has them at 0.
inline constexpr uid_t kBoxUid = kFirstUid + (kUidBlocks * kSlotsPerBlock - 1) * kIdRange;

uid_t box_uid();

struct BoxAnswer {
  int error = 0;  // errno of what failed, 0 when all went well
  char doing[60] = {};
  std::uint64_t number = 0;  // what the body counted
};
BoxAnswer box_failed(const char* doing, int error = errno);
BoxAnswer box_done(std::uint64_t number = 0);

// Given what BoxOptions::argument says.
using BoxBody = BoxAnswer (*)(int argument);

struct BoxOptions {
  std::uint64_t namespaces = 0;  // CLONE_NEW*; with CLONE_NEWUSER its ids are mapped
  const Cgroup* cgroup = nullptr;
  int argument = 0;
};

struct BoxEnd {
  std::optional<BoxAnswer> answer;  // none: killed, or executed another program
  sys::ExitStatus status;
};

class [[nodiscard]] Box {
 public:
  // The body has begun when it returns.
  static Result<Box> start(BoxBody body, const BoxOptions& options);
  // Errc::timeout when it does not end by itself.
  Result<BoxEnd> finish();

  pid_t pid() const { return child_.pid(); }
  const sys::Child& child() const { return child_; }

 private:
  Box() = default;
  sys::UniqueFd alive_;  // its closing tells the child that we are gone
  sys::UniqueFd answer_;
  sys::Child child_;
};

// start() and finish(): the number of a body that went well. Its failure, and its death, are
// errors.
Result<std::uint64_t> perform_in_box(BoxBody body, const BoxOptions& options);

// A user namespace with the ids of boxes, by a descriptor that keeps it. box_uid() is not 0.
Result<sys::UniqueFd> box_user_namespace();

}  // namespace tare::sandbox
