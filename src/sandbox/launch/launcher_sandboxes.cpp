// The launcher's sandboxes: from a launch to an order, makers and the pool, ends.
#include <sys/epoll.h>
#include <unistd.h>

#include <set>

#include "sandbox/launch/launcher.h"
#include "sys/children.h"
#include "sys/files.h"

namespace tare::sandbox {

// ---- from a launch to an order

void Launcher::launch(LaunchMessage message, std::vector<sys::UniqueFd> fds) {
  const std::uint64_t received_us = monotonic_us();
  if (stopping_) return drop_client();
  if (numbers_.contains(message.id)) {
    config_.log->error("launched twice", {{"run", message.id}});
    return drop_client();
  }
  if (auto room = room_for(fds); !room) return refused(message.id, room.error());
  claim({std::move(message), std::move(fds), received_us});
}

void Launcher::claim(Claim claim) {
  const auto number = sandbox_for(claim.message.base, claim.fds[0].get(), claim.received_us);
  if (!number) return refused(claim.message.id, number.error());
  numbers_.emplace(claim.message.id, *number);
  Sandbox& sandbox = *sandboxes_.at(*number);
  sandbox.claim(std::move(claim));
  if (sandbox.is_made()) begin(*number);
}

// The pool is filled before the launcher waits again.
void Launcher::prepare(const PrepareMessage& message, sys::UniqueFd plan) {
  const std::string key = key_of(message.base);
  if (pool_.expect(message.base, monotonic_us())) pool_.keep_plan(key, std::move(plan));
  expecting_.emplace_back(message.number, key);
}

// The oldest gives way: its tared has not waited for so long.
void Launcher::answer_expecting() {
  constexpr std::size_t kMostExpecting = 64;
  const std::uint64_t now = monotonic_us();
  std::size_t too_many = expecting_.size() - std::min(expecting_.size(), kMostExpecting);
  std::erase_if(expecting_, [&](const auto& expected) {
    auto ready = pool_.has_one(expected.second, now);
    if (!ready && too_many > 0) ready = false;
    if (too_many > 0) --too_many;
    if (ready) send(PreparedMessage{expected.first, *ready});
    return ready.has_value();
  });
}

// One that waits, one that is just being made for the pool, or a new one.
Result<std::uint32_t> Launcher::sandbox_for(const SandboxBase& base, int plan,
                                            std::uint64_t now_us) {
  const LayerMarks marks = mark_layers(tools_.making.layers_dir, base.digests());
  while (const auto number = pool_.take(base, now_us)) {
    if (sandboxes_.at(*number)->marks() == marks) {
      ++counters_.hits;
      return *number;
    }
    sandboxes_.at(*number)->end(model::EndReason::killed);  // its layers were removed since
  }
  ++counters_.misses;
  const std::string key = key_of(base);
  if (pool_.plan(key) < 0) pool_.keep_plan(key, TRY(sys::dup_fd(plan)));
  for (const auto& [number, sandbox] : sandboxes_) {
    if (sandbox->claimed() || sandbox->ended() || sandbox->prepared() || sandbox->cause() ||
        sandbox->key() != key || sandbox->marks() != marks)
      continue;
    pool_.not_made(key, 0);
    return number;
  }
  return order_sandbox(base, plan, Makers::Urgency::run);
}

Result<std::uint32_t> Launcher::order_sandbox(const SandboxBase& base, int plan,
                                              Makers::Urgency urgency) {
  sys::UniqueFd copy = TRY(sys::dup_fd(plan));
  if (urgency == Makers::Urgency::pool) TRY(room_for({&copy, 1}));
  auto sandbox = std::make_unique<Sandbox>(TRY(SlotLease::take(tools_.slots)), base,
                                           mark_layers(tools_.making.layers_dir, base.digests()));
  const std::uint32_t number = next_number_++;
  std::vector<sys::UniqueFd> fds;
  fds.push_back(std::move(copy));
  makers_.order(MakeOrder{number, sandbox->slot().base, sandbox->cgroup_name(), base}, urgency,
                std::move(fds));
  sandboxes_.emplace(number, std::move(sandbox));
  return number;
}

void Launcher::begin(std::uint32_t number) {
  Sandbox& sandbox = *sandboxes_.at(number);
  auto begun = sandbox.begin({tools_.runs_dir.get(), tools_.making.null.get()});
  if (begun) return;
  config_.log->error("sandbox cannot begin", begun.error(), {{"run", sandbox.id()}});
  sandbox.fail(begun.error());
}

// A run that never had a sandbox.
void Launcher::refused(const std::string& id, const Error& why) {
  config_.log->error("sandbox could not be made", why, {{"run", id}});
  EndedMessage ended;
  ended.id = id;
  ended.outcome = {model::EndReason::setup_failed, 0, 0, why.message};
  send(ended);
}

// ---- makers and the pool

void Launcher::on_maker(std::uint32_t index) {
  for (MakerAnswer& answer : makers_.answers(index)) {
    if (const auto* made = std::get_if<Made>(&answer.message)) {
      on_made(*made, std::move(answer.fds), answer.lost);
    } else if (const auto* stopped = std::get_if<Stopped>(&answer.message)) {
      on_stopped(*stopped, answer.fds);
    } else if (const auto* swapped = std::get_if<Swapped>(&answer.message)) {
      on_swapped(*swapped);
    } else {
      on_removed(std::get<Removed>(answer.message));
    }
  }
  if (makers_.deaths() != deaths_seen_ && !makers_.making()) reap_strangers();
}

void Launcher::on_made(const Made& made, std::vector<sys::UniqueFd> fds, bool lost) {
  const auto found = sandboxes_.find(made.number);
  if (found == sandboxes_.end()) return;  // not possible: it is kept until it has been made
  Sandbox& sandbox = *found->second;
  Result<> usable = sandbox.made(tools_.making.cgroups, made, std::move(fds));
  if (usable && made.moved) ++counters_.moved;
  if (sandbox.is_made()) {
    Result<> watched = watch(sandbox.pidfd(), Source::ended, made.number);
    if (watched && usable) watched = watch(sandbox.control_fd(), Source::control, made.number);
    if (watched && usable) {
      const Cgroup& cgroup = *sandbox.cgroup();
      watched = watch(cgroup.oom_fd(), Source::oom, made.number, cgroup.oom_events());
    }
    if (usable && !watched) usable = std::move(watched);
  }
  if (!usable) {
    config_.log->error("sandbox could not be made", usable.error());
    if (lost && sandbox.may_try_again()) return claim_another(made.number);
    sandbox.fail(usable.error());
    if (!sandbox.is_made()) finish(made.number);
    return;
  }
  if (sandbox.cause() || stopping_) return sandbox.end(model::EndReason::killed);
  if (sandbox.claimed()) begin(made.number);
}

void Launcher::on_removed(const Removed& removed) {
  const auto lease = closing_.find(removed.number);
  if (lease == closing_.end()) return;
  if (!removed.error.empty()) {
    config_.log->error("remains of a sandbox could not be removed; its uid range is given up",
                       {{"error", removed.error}});
    lease->second.retire();
  }
  closing_.erase(lease);
}

// Of one that has ended nothing is left to kill: who reads what it was goes on with that.
void Launcher::kill(const KillMessage& message) {
  Sandbox* sandbox = find(message.id);
  if (sandbox == nullptr || sandbox->ended()) return;
  const bool awaited = sandbox->standing() == Standing::wanted &&
                       !changing_.contains(numbers_.at(message.id));
  if (awaited) send(StoppedMessage{message.id, "it is being ended", 0});
  end(*sandbox, message.reason);
}

// ---- standing still, for a freeze

void Launcher::stop(const std::string& id) {
  Sandbox* sandbox = find(id);
  Result<> possible = ok();
  if (sandbox == nullptr || !(sandbox->live() || sandbox->ended())) {
    possible = Error{Errc::conflict, "the sandbox is not running"};
  } else if (sandbox->standing() != Standing::no) {
    possible = Error{Errc::conflict, "it is being frozen already"};
  }
  auto scratch = possible ? sandbox->dup_scratch()
                          : Result<sys::UniqueFd>(std::move(possible).error());
  if (!scratch) return send(StoppedMessage{id, scratch.error().message, 0});
  sandbox->set_standing(Standing::wanted);
  std::vector<sys::UniqueFd> fds;
  fds.push_back(std::move(*scratch));
  const std::string cgroup = sandbox->ended() ? std::string() : sandbox->cgroup_name();
  makers_.order(StopOrder{numbers_.at(id), cgroup}, Makers::Urgency::run, std::move(fds));
}

void Launcher::go_on(Sandbox& sandbox) {
  if (sandbox.standing() == Standing::no) return;
  if (sandbox.standing() == Standing::yes && !sandbox.ended())
    (void)tools_.making.cgroups.continue_child(sandbox.cgroup_name());
  // One that is only about to stand is let go when its maker has answered.
  const bool on_its_way = sandbox.standing() != Standing::yes;
  sandbox.set_standing(on_its_way ? Standing::unwanted : Standing::no);
}

// One that stands still does nothing any more: a session that hibernates would have shown, in what
// it says, what is not in the layers that were made of it.
void Launcher::end(Sandbox& sandbox, model::EndReason reason) {
  if (sandbox.standing() == Standing::yes && !sandbox.ended()) {
    auto killed = tools_.making.cgroups.kill_standing(sandbox.cgroup_name(), 0);
    if (!killed) config_.log->error("what stands still cannot be killed", killed.error());
  }
  go_on(sandbox);  // what is frozen by v1 cannot die
  sandbox.end(reason);
}

void Launcher::on_stopped(const Stopped& stopped, const std::vector<sys::UniqueFd>& fds) {
  const auto found = sandboxes_.find(stopped.number);
  if (found == sandboxes_.end()) return;  // it has ended meanwhile
  Sandbox& sandbox = *found->second;
  const bool wanted = sandbox.standing() == Standing::wanted;
  const bool usable = stopped.error.empty() && fds.size() == 2 &&
                      (sandbox.live() || sandbox.ended());
  // After the maker's death it may stand, too.
  sandbox.set_standing(Standing::yes);
  if (!wanted || !usable) go_on(sandbox);
  if (!wanted) return;
  StoppedMessage message{sandbox.id(), stopped.error, sandbox.slot().base, false,
                         stopped.processes};
  if (!usable && message.error.empty()) message.error = "the sandbox is ending";
  std::vector<int> borrowed;
  for (const sys::UniqueFd& fd : fds) borrowed.push_back(fd.get());
  sys::UniqueFd base;
  if (usable && sandbox.base().host_root) {
    auto opened = sys::open_directory(tools_.making.skeleton.host);
    if (!opened) {
      go_on(sandbox);
      return send(StoppedMessage{sandbox.id(), opened.error().message, 0});
    }
    base = std::move(*opened);
    message.with_base = true;
    borrowed.push_back(base.get());
  }
  send(message, usable ? std::span<const int>(borrowed) : std::span<const int>());
}

// ---- another runner, while it stands still

void Launcher::swap(const SwapMessage& message) {
  Sandbox* sandbox = find(message.id);
  Result<> possible = ok();
  if (sandbox == nullptr || !sandbox->live()) {
    possible = Error{Errc::conflict, "the sandbox is not running"};
  } else if (sandbox->base().runner.empty()) {
    possible = Error{Errc::conflict, "it was made without a runner"};
  } else if (sandbox->standing() != Standing::no) {
    possible = Error{Errc::conflict, "it is being frozen, or changed, already"};
  }
  auto init = possible ? sandbox->dup_pidfd() : Result<sys::UniqueFd>(std::move(possible).error());
  auto scratch = init ? sandbox->dup_scratch() : Result<sys::UniqueFd>(std::move(init).error());
  if (!scratch) return send(SwappedMessage{message.id, scratch.error().message});
  sandbox->set_standing(Standing::wanted);
  changing_.insert(numbers_.at(message.id));
  std::vector<sys::UniqueFd> fds;
  fds.push_back(std::move(*init));
  fds.push_back(std::move(*scratch));
  makers_.order(SwapOrder{numbers_.at(message.id), sandbox->cgroup_name(), sandbox->slot().base,
                          static_cast<std::uint32_t>(sandbox->pid()), message.runner, message.own},
                Makers::Urgency::run, std::move(fds));
}

void Launcher::on_swapped(const Swapped& swapped) {
  const auto found = sandboxes_.find(swapped.number);
  if (found == sandboxes_.end()) return;  // it has ended meanwhile, and take_down() has answered
  changing_.erase(swapped.number);
  Sandbox& sandbox = *found->second;
  const bool whole = swapped.error.empty() || !swapped.touched;
  if (!whole) {
    // Nothing of it goes on for an instant with half of one and half of the other.
    (void)tools_.making.cgroups.kill_standing(sandbox.cgroup_name(), 0);
    sandbox.fail(Error{Errc::internal, "the runner could not be changed: " + swapped.error});
  }
  sandbox.set_standing(Standing::yes);  // after the maker's death it may stand, too
  go_on(sandbox);
  send(SwappedMessage{sandbox.id(), swapped.error, swapped.touched, swapped.as_made});
}

// A maker that died may have just cloned a process that it could not tell of any more.
// Not while another one makes something: its process is not known yet, either. (It ends by itself:
// its maker's end of their socket is closed.)
void Launcher::reap_strangers() {
  deaths_seen_ = makers_.deaths();
  std::set<pid_t> known;
  for (const auto& [number, sandbox] : sandboxes_) known.insert(sandbox->pid());
  for (const pid_t pid : makers_.pids()) known.insert(pid);
  for (const pid_t pid : sys::children()) {
    if (!known.contains(pid)) sys::kill_and_reap(pid);
  }
}

void Launcher::fill_pool() {
  const std::uint64_t now = monotonic_us();
  for (const std::uint32_t number : pool_.surplus(now))
    sandboxes_.at(number)->end(model::EndReason::killed);
  while (const auto base = pool_.wanted(now)) {
    const std::string key = key_of(*base);
    pool_.making(key);
    if (!order_sandbox(*base, pool_.plan(key), Makers::Urgency::pool))
      return pool_.not_made(key, now);
  }
}

// ---- ends

void Launcher::finish(std::uint32_t number) {
  Sandbox& sandbox = *sandboxes_.at(number);
  if (sandbox.never_began()) return claim_another(number);
  const EndedMessage ended = sandbox.finish();
  if (!sandbox.claimed()) {
    if (!sandbox.cause()) {
      config_.log->error("a waiting sandbox has ended", {{"why", ended.outcome.message}});
    }
    if (sandbox.prepared()) {
      ++counters_.dropped;
      pool_.gone(sandbox.key(), number);
    } else {
      ++counters_.failed;
      pool_.not_made(sandbox.key(), monotonic_us());
    }
    return let_go(number);
  }
  config_.log->info("sandbox ended", {{"run", ended.id}, {"wall_us", ended.usage.wall_us}});
  if (stopping_) return let_go(number);
  send_ended(sandbox);
  if (ended.never_began) let_go(number);
}

// One that waited was dead before it could read its order, or one that was being made is lost with
// its maker: nothing of the run was done.
void Launcher::claim_another(std::uint32_t number) {
  Claim given_back = sandboxes_.at(number)->give_back_claim();
  numbers_.erase(given_back.message.id);
  finish(number);
  claim(std::move(given_back));
}

// The process is dead, or never was: what a run has left waits for its release.
void Launcher::reaped(std::uint32_t number) {
  const auto found = sandboxes_.find(number);
  if (found == sandboxes_.end()) return;  // finish() has reaped it, and let it go
  Sandbox& sandbox = *found->second;
  if (sandbox.is_made()) {
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, sandbox.pidfd(), nullptr);
    sandbox.reap();
  }
  if (sandbox.released()) take_down(number);
}

// It has ended, and nobody will ask for it any more: its run may already have another sandbox. What
// is left of it goes as soon as its process is reaped.
void Launcher::let_go(std::uint32_t number) {
  Sandbox& sandbox = *sandboxes_.at(number);
  if (sandbox.claimed()) {
    const auto mapped = numbers_.find(sandbox.id());
    if (mapped != numbers_.end() && mapped->second == number) numbers_.erase(mapped);
  }
  sandbox.release();
  if (!sandbox.is_made()) take_down(number);
}

void Launcher::take_down(std::uint32_t number) {
  const auto found = sandboxes_.find(number);
  Sandbox& sandbox = *found->second;
  // Whoever waits for it to stand still is told now: the maker's answer finds nobody any more.
  if (changing_.erase(number) > 0) {
    send(SwappedMessage{sandbox.id(), "the sandbox is gone", true});
  } else if (sandbox.standing() == Standing::wanted) {
    send(StoppedMessage{sandbox.id(), "the sandbox is gone", 0});
  }
  makers_.order(RemoveOrder{number, sandbox.cgroup_name()}, Makers::Urgency::removal,
                sandbox.take_remains());
  closing_.emplace(number, std::move(sandbox).take_lease());
  sandboxes_.erase(found);
}

}  // namespace tare::sandbox
