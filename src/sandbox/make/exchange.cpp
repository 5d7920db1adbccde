#include "sandbox/make/exchange.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "model/runner.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/mountfs.h"
#include "sys/unshare.h"

namespace tare::sandbox {

namespace {

// How the process ends.
enum Status : int { done = 0, untouched = 1, touched_it = 2 };

constexpr std::size_t kMaxWhyBytes = 512;

Result<sys::UniqueFd> runner_place() {
  const sys::UniqueFd root = TRY(sys::open_directory("/"));
  sys::UniqueFd place = TRY(
      sys::open_beneath(root.get(), model::kRunnerPath.substr(1), O_PATH | O_DIRECTORY));
  if (!TRY(sys::is_mount_root(place.get())))
    return Error{Errc::conflict, "no runner is mounted there"};
  return place;
}

// As a program finds it: by its name, from the sandbox's root.
Result<> verify(int runner) {
  const sys::UniqueFd seen = TRY(runner_place());
  if (TRY(sys::mount_id(seen.get())) != TRY(sys::mount_id(runner)))
    return Error{Errc::conflict, "another mount is seen there"};
  if (!sys::is_read_only(seen.get())) return Error{Errc::conflict, "it is not read-only"};
  return ok();
}

Result<> exchange(int init, int runner, Status& status) {
  TRY(sys::enter_mounts_of(init));
  TRY(runner_place());
  status = touched_it;
  // EINVAL: it is locked, and so the one that the sandbox was made with.
  auto taken_off = sys::unmount(model::kRunnerPath, true);
  if (!taken_off && taken_off.error().sys != EINVAL) return taken_off;
  const sys::UniqueFd place = TRY(runner_place());
  TRY(sys::attach_mount(runner, place.get(), ""));
  TRY(verify(runner));
  status = done;
  return ok();
}

[[noreturn]] void be_in_there(int init, int runner, int why) {
  Status status = untouched;
  if (auto exchanged = exchange(init, runner, status); !exchanged)
    (void)sys::write_all(why, exchanged.error().message.substr(0, kMaxWhyBytes));
  ::_exit(status);
}

}  // namespace

Result<> exchange_runner(int init, int runner, bool& touched) {
  sys::Pipe why = TRY(sys::make_pipe());
  sys::Child child = TRY(sys::fork_child());
  if (!child.valid()) be_in_there(init, runner, why.write.get());
  touched = true;  // until it says otherwise
  why.write.reset();
  const auto status = TRY(child.wait(nullptr));
  touched = status.signalled || status.code != untouched;
  if (!status.signalled && status.code == done) return ok();
  std::string text = sys::read_all(why.read.get(), kMaxWhyBytes).value_or("");
  if (text.empty()) text = "its process was killed";
  return Error{Errc::internal, std::move(text)};
}

}  // namespace tare::sandbox
