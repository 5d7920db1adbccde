#include "sandbox/make/maker.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "sandbox/init/become_init.h"
#include "sandbox/launch/report.h"
#include "sandbox/make/exchange.h"
#include "sandbox/make/upper.h"
#include "sandbox/plan/plan.h"
#include "sandbox/rootfs/stage.h"
#include "sys/files.h"
#include "sys/memfd.h"
#include "sys/process.h"
#include "sys/seqpacket.h"
#include "sys/users.h"

namespace tare::sandbox {

namespace {

constexpr std::uint32_t kSlotsAtHand = 40;
constexpr std::uint64_t kStopPatienceMs = 5'000;

// The cgroup namespace is tare-init's own first step: made here, its root would be the launcher's
// cgroups.
constexpr std::uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                                      CLONE_NEWUTS;

// Of the staged root. What root inside has made of it before it slept is not in the way: what is
// left at the end is collected from a folder.
Result<sys::UniqueFd> output_folder(std::uint32_t uid_base) {
  const std::string path = std::string(kStageRoot) + "/output";
  const auto open = [&] {
    return sys::open_at(sys::kCwd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  };
  auto folder = open();
  if (folder) return folder;
  const int error = folder.error().sys;
  if (error != ENOENT && error != ENOTDIR && error != ELOOP) return folder;
  if (error != ENOENT) TRY(sys::remove_at(sys::kCwd, path));
  TRY(sys::make_dir_at(sys::kCwd, path, 0755));
  TRY(sys::own_at(sys::kCwd, path, uid_base, uid_base));
  return open();
}

}  // namespace

std::vector<int> MakerTools::descriptors() const {
  std::vector<int> fds = cgroups.descriptors();
  fds.insert(fds.end(), {images.devices.get(), images.loop_control.get(), init.get(), null.get()});
  return fds;
}

// What an order has made so far; an error on the way takes it down again.
struct Maker::Making {
  sys::UniqueFd scratch, control;
  sys::UniqueFd output;  // with output_in_root
  std::optional<Cgroup> cgroup;
  Cgroup::Birth birth = Cgroup::Birth::outside;
  sys::ForeignChild init;
};

Result<> Maker::serve() {
  // The first of them, so that no launch has to wait for one: each takes a process's life.
  for (std::uint32_t i = 0; i < kSlotsAtHand && tools_.first_uid > 0; ++i)
    TRY(user_namespaces_.of(tools_.first_uid + i * kIdRange));
  for (;;) {
    auto received = TRY(sys::receive_message(socket_.get()));
    if (!received) return ok();
    const ToMaker order = TRY(decode_to_maker(received->bytes));
    if (const auto* wanted = std::get_if<MakeOrder>(&order)) {
      if (received->fds.size() != 1) return Error{Errc::internal, "an order without its plan"};
      TRY(make(*wanted, received->fds[0].get()));
    } else if (const auto* standing = std::get_if<StopOrder>(&order)) {
      if (received->fds.size() != 1) return Error{Errc::internal, "an order without its scratch"};
      TRY(stop(*standing, received->fds[0].get()));
    } else if (const auto* change = std::get_if<SwapOrder>(&order)) {
      if (received->fds.size() != 2) return Error{Errc::internal, "an order without its pidfd"};
      TRY(swap(*change, received->fds[0].get(), received->fds[1].get()));
    } else {
      received->fds.clear();  // the scratch space
      TRY(remove(std::get<RemoveOrder>(order)));
    }
  }
}

Result<> Maker::answer(const FromMaker& message, const std::vector<sys::UniqueFd>& fds) {
  std::vector<int> borrowed;
  for (const sys::UniqueFd& fd : fds) borrowed.push_back(fd.get());
  return sys::send_message(socket_.get(), TRY(encode_from_maker(message)), borrowed);
}

Result<> Maker::make(const MakeOrder& order, int plan) {
  Making making;
  auto done = make_all(order, plan, making);
  Made made;
  made.number = order.number;
  made.pid = static_cast<std::uint32_t>(making.init.pid);
  made.moved = making.birth == Cgroup::Birth::outside;
  std::vector<sys::UniqueFd> fds;
  if (made.pid > 0) fds.push_back(std::move(making.init.pidfd));
  if (done) {
    fds.push_back(std::move(making.control));
    fds.push_back(std::move(making.scratch));
    fds.push_back(std::move(*making.cgroup).release());
    if (making.output.valid()) fds.push_back(std::move(making.output));
  } else {
    made.error = done.error().message;
    if (made.pid > 0) (void)sys::signal_process(fds.front().get(), SIGKILL);
  }
  return answer(made, fds);
}

Result<> Maker::make_all(const MakeOrder& order, int plan, Making& making) {
  const SandboxBase& base = order.base;
  const int ids = TRY(user_namespaces_.of(order.uid_base));
  making.scratch = TRY(make_scratch(base.limits, order.uid_base, tools_.images));
  making.cgroup.emplace(TRY(Cgroup::create(tools_.cgroups, order.cgroup, base.limits)));
  const StageParts parts = {
      .skeleton = &tools_.skeleton,
      .host = tools_.host,
      .layers_dir = tools_.layers_dir,
      .layers = base.layers,
      .runner = base.runner,
      .host_root = base.host_root,
      .output_in_root = base.output_in_root,
      .host_network = base.network == model::Network::host,
      .user_namespace = ids,
      .scratch = making.scratch.get(),
      .mapped_devices = &mapped_devices_,
  };
  // Taken away when tare-init is on its way: that waits for other processors.
  const Stage stage = TRY(Stage::build(parts));
  if (base.output_in_root) {
    making.output = TRY(output_folder(order.uid_base).context("/output"));
  }
  TRY(clone_init(order, making));
  TRY(write_id_maps(making.init.pid, order.uid_base).context("user namespace"));
  TRY(making.cgroup->attach(making.init.pid, making.birth));
  TRY(sys::send_message(making.control.get(), {&kGoByte, 1}).context("tare-init"));
  return sys::send_message(making.control.get(), {&kBaseByte, 1}, {&plan, 1}).context("tare-init");
}

Result<> Maker::clone_init(const MakeOrder& order, Making& making) {
  auto [ours, theirs] = TRY(sys::seqpacket_pair());
  const std::uint64_t net = order.base.network == model::Network::none ? CLONE_NEWNET : 0;
  const sys::UniqueFd into = clones_into_ ? TRY(making.cgroup->clone_into()) : sys::UniqueFd();
  // Not root's: its limits for what is inside would be all sandboxes' together, and root's own.
  std::optional<sys::AsMaker> owner(TRY(sys::AsMaker::take(order.uid_base)));
  auto init = sys::clone_sibling(kNamespaces | net, into.get());
  if (!init || init->pid != 0) owner.reset();  // its child waits for ids of its own
  if (!init && into.valid()) {
    // Refused by this host (a domain that is threaded, a filter that knows no more than 64 bytes of
    // clone_args, ...): attached afterwards from now on. What else it may have been is told below.
    clones_into_ = false;
    return clone_init(order, making);
  }
  making.init = TRY(std::move(init).context("new namespaces"));
  if (into.valid()) making.birth = Cgroup::Birth::inside;
  if (making.init.pid == 0)
    become_init(theirs.get(), ours.get(), tools_.init.get(), tools_.null.get());
  TRY(sys::set_nonblocking(ours.get(), true));
  making.control = std::move(ours);
  return ok();
}

Result<> Maker::stop(const StopOrder& order, int scratch) {
  Stopped stopped{order.number, ""};
  std::vector<sys::UniqueFd> fds;
  const auto done = [&]() -> Result<> {
    if (!order.cgroup.empty()) {
      TRY(tools_.cgroups.stop_child(order.cgroup, kStopPatienceMs));
      stopped.processes = TRY(tools_.cgroups.count_standing(order.cgroup));
    }
    fds.push_back(TRY(sys::open_beneath(scratch, "upper", O_RDONLY | O_DIRECTORY)));
    fds.push_back(TRY(sys::sealed_memfd("opaque", TRY(opaque_folders(fds.front().get())), false)));
    return ok();
  }();
  if (!done) {
    stopped.error = done.error().message;
    fds.clear();
    if (!order.cgroup.empty()) (void)tools_.cgroups.continue_child(order.cgroup);
  }
  return answer(stopped, fds);
}

// Also in its former lives.
bool Maker::is_as_made(const SwapOrder& order, int scratch) const {
  const auto upper = sys::open_beneath(scratch, "upper", O_RDONLY | O_DIRECTORY);
  if (!upper || !changes_only_its_own(upper->get(), order.uid_base)) return false;
  return std::ranges::all_of(order.own, [&](const std::string& digest) {
    const auto layer = sys::open_directory(layer_path(tools_.layers_dir, digest));
    return layer && changes_only_its_own(layer->get(), 0);
  });
}

Result<> Maker::swap(const SwapOrder& order, int init, int scratch) {
  Swapped swapped{order.number, ""};
  bool stopped = false;
  const auto done = [&]() -> Result<> {
    const sys::UniqueFd runner = TRY(
        runner_tree(TRY(user_namespaces_.of(order.uid_base)), tools_.layers_dir, order.runner));
    TRY(tools_.cgroups.stop_child(order.cgroup, kStopPatienceMs));
    stopped = true;
    swapped.as_made = is_as_made(order, scratch);
    TRY(exchange_runner(init, runner.get(), swapped.touched));
    // Who may have loaded code of the old one cannot be told from outside.
    return tools_.cgroups.kill_standing(order.cgroup, static_cast<pid_t>(order.pid));
  }();
  if (!done) {
    swapped.error = done.error().message;
    if (stopped && !swapped.touched) (void)tools_.cgroups.continue_child(order.cgroup);
  }
  return answer(swapped);
}

Result<> Maker::remove(const RemoveOrder& order) {
  Removed removed;
  removed.number = order.number;
  if (auto gone = tools_.cgroups.remove_child(order.cgroup); !gone)
    removed.error = gone.error().message;
  return answer(removed);
}

}  // namespace tare::sandbox
