#include "sandbox/doctor/box.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "sandbox/doctor/facts.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

constexpr int kPatienceMs = 4'000;

bool readable(int fd, int timeout_ms) {
  pollfd wait = {fd, POLLIN, 0};
  return ::poll(&wait, 1, timeout_ms) == 1;
}

bool parent_gone(int alive) { return readable(alive, 0); }

// Between clone3 and the end of the process: no allocation.
[[noreturn]] void be_inside(sys::Pipe& go, sys::Pipe& answer, BoxBody body,
                            const BoxOptions& options) {
  go.write.reset();
  answer.read.reset();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  char byte = 0;
  if (::read(go.read.get(), &byte, 1) != 1) ::_exit(1);
  if ((options.namespaces & CLONE_NEWUSER) != 0) {
    if (::syscall(SYS_setresgid, 0, 0, 0) != 0 || ::syscall(SYS_setresuid, 0, 0, 0) != 0) {
      ::_exit(1);
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // a change of ids clears it
  }
  // The signal of a parent that was dead when it was asked for never comes.
  if (parent_gone(go.read.get())) ::_exit(1);
  const BoxAnswer said = body(options.argument);
  const bool written = ::write(answer.write.get(), &said, sizeof said) == sizeof said;
  ::_exit(written ? 0 : 1);
}

BoxAnswer wait_for_ever(int) {
  for (;;) ::pause();
}

}  // namespace

uid_t box_uid() {
  const auto map = sys::read_file_at(sys::kCwd, "/proc/self/uid_map");
  return map && !maps_ids(*map, kBoxUid, kIdRange) && maps_ids(*map, 0, kIdRange) ? 0 : kBoxUid;
}

BoxAnswer box_failed(const char* doing, int error) {
  BoxAnswer answer;
  answer.error = error == 0 ? EPROTO : error;
  std::strncpy(answer.doing, doing, sizeof answer.doing - 1);
  return answer;
}

BoxAnswer box_done(std::uint64_t number) {
  BoxAnswer answer;
  answer.number = number;
  return answer;
}

Result<Box> Box::start(BoxBody body, const BoxOptions& options) {
  sys::Pipe go = TRY(sys::make_pipe());
  sys::Pipe answer = TRY(sys::make_pipe());
  const sys::UniqueFd into = options.cgroup == nullptr ? sys::UniqueFd()
                                                       : TRY(options.cgroup->clone_into());
  Box box;
  box.child_ = TRY(sys::clone_child(options.namespaces, into.get()).context("new namespaces"));
  if (!box.child_.valid()) be_inside(go, answer, body, options);
  box.answer_ = std::move(answer.read);
  box.alive_ = std::move(go.write);
  TRY(sys::set_nonblocking(box.answer_.get(), true));
  if ((options.namespaces & CLONE_NEWUSER) != 0) {
    TRY(write_id_maps(box.pid(), box_uid()).context("mapping ids"));
  }
  if (options.cgroup != nullptr) {
    const auto birth = !into.valid() ? Cgroup::Birth::outside : Cgroup::Birth::inside;
    TRY(options.cgroup->attach(box.pid(), birth));
  }
  TRY(sys::write_all(box.alive_.get(), "g").context("the process ended before it was let go"));
  return box;
}

Result<BoxEnd> Box::finish() {
  if (!readable(child_.pidfd(), kPatienceMs)) {
    return Error{Errc::timeout, "not done after " + std::to_string(kPatienceMs) + " ms"};
  }
  BoxEnd end;
  BoxAnswer answer;
  if (::read(answer_.get(), &answer, sizeof answer) == sizeof answer) {
    answer.doing[sizeof answer.doing - 1] = '\0';
    end.answer = answer;
  }
  end.status = TRY(child_.wait(nullptr));
  return end;
}

Result<std::uint64_t> perform_in_box(BoxBody body, const BoxOptions& options) {
  Box box = TRY(Box::start(body, options));
  const BoxEnd end = TRY(box.finish());
  if (!end.answer) {
    return Error{Errc::internal, std::string("the process ended without an answer, by ") +
                                     (end.status.signalled ? "signal " : "exit status ") +
                                     std::to_string(end.status.code)};
  }
  if (end.answer->error != 0) return sys_error(end.answer->error, end.answer->doing);
  return end.answer->number;
}

Result<sys::UniqueFd> box_user_namespace() {
  const Box box = TRY(Box::start(&wait_for_ever, {.namespaces = CLONE_NEWUSER}));
  return sys::open_at(sys::kCwd, "/proc/" + std::to_string(box.pid()) + "/ns/user", O_RDONLY);
}

}  // namespace tare::sandbox
