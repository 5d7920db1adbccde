#include "host/runner_trials.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "host/host_programs.h"
#include "host/spec.h"
#include "model/limits_json.h"

namespace tare::host {

namespace {

std::string what_it_needs(const model::Runner& runner) {
  if (runner.manifest.needs.empty()) return {};
  return fmt::format(" (it needs {})", fmt::join(runner.manifest.needs, ", "));
}

Error no_good(const model::Runner& runner, const Error& why) {
  return Error{Errc::conflict, fmt::format("runner {} is no good in this environment{}: {}",
                                           runner.reference(), what_it_needs(runner), why.message)};
}

// Could be given `runner`, now or when it is woken.
bool is_open_to(const LiveRun& session, const model::Runner& runner) {
  if (session.is_over() || (!session.started && !session.hibernates())) return false;
  const auto now = model::parse_runner_ref(session.runner ? session.runner->reference
                                                          : session.run.request.runner);
  return now && now->name == runner.manifest.name;
}

}  // namespace

// nullopt: what it rests on cannot be told, and so not remembered.
std::optional<std::string> RunnerTrials::key_of(const model::Run& session,
                                                const model::Runner& runner) const {
  const model::RunRequest& request = session.request;
  std::string host;
  if (request.environment_digest.empty()) {
    const auto variables = environment_variables(request, session.id);
    std::vector<std::string> programs = runner.manifest.needs;
    if (const std::string& first = runner.manifest.handshake.front();
        !first.starts_with(model::kRunnerPath))
      programs.push_back(first);
    const auto found = host_programs(programs, path_of(variables));
    if (!found) return std::nullopt;
    host = *found;
  }
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", runner.digest, runner.reference(),
                     fmt::join(layers_of(request), " "), fmt::join(request.env, "\n"), request.cwd,
                     request.user, request.profile, to_text(model::to_json(request.limits)), host);
}

bool RunnerTrials::knows(const std::string& key) const {
  const auto found = good_.find(key);
  if (found == good_.end()) return false;
  return found->second == 0 || clock_.monotonic_us() / 1000 < found->second;
}

void RunnerTrials::remember(const std::string& key, bool frozen) {
  if (good_.size() >= kMostTrials) good_.clear();
  const auto memory = std::chrono::milliseconds(kHostMemory).count();
  good_[key] = frozen ? 0 : clock_.monotonic_us() / 1000 + static_cast<std::uint64_t>(memory);
}

Result<> RunnerTrials::good_in(const LiveRun& session, const model::Runner& runner,
                               const fiber::Context& ctx) {
  const bool frozen = !session.run.request.environment_digest.empty();
  const auto key = key_of(session.run, runner);
  if (key && knows(*key)) return ok();
  const auto tried = key ? try_together(session, runner, *key, ctx)
                         : ports_.try_in_scratch(session, runner, ctx);
  if (!tried) return no_good(runner, tried.error());
  // On a host that has changed meanwhile it was, perhaps, another program.
  if (key && key_of(session.run, runner) == key) remember(*key, frozen);
  return ok();
}

// Whoever wants to know the same meanwhile waits for this one's answer.
Result<> RunnerTrials::try_together(const LiveRun& session, const model::Runner& runner,
                                    const std::string& key, const fiber::Context& ctx) {
  if (const auto found = pending_.find(key); found != pending_.end()) {
    const auto pending = found->second;
    TRY(pending->answered.wait_until([&] { return pending->answer.has_value(); }, ctx));
    return *pending->answer;
  }
  const auto pending = std::make_shared<Pending>();
  pending_[key] = pending;
  pending->answer = ports_.try_in_scratch(session, runner, ctx);
  pending_.erase(key);
  pending->answered.notify_all();
  return *pending->answer;
}

void RunnerTrials::try_ahead(const model::Runner& runner, const fiber::Context& ctx) {
  struct Done {
    bool done = false;
    fiber::Event changed;
  };
  const auto tried = std::make_shared<Done>();
  ahead_.spawn([this, runner, tried](const fiber::Context& task) {
    try_in_sessions(runner, task);
    tried->done = true;
    tried->changed.notify_all();
  });
  (void)tried->changed.wait_until([&] { return tried->done; }, ctx.with_timeout(kAheadPatience));
}

void RunnerTrials::try_in_sessions(const model::Runner& runner, const fiber::Context& ctx) {
  const auto reading = layers_.read();  // nothing takes its layer away meanwhile
  auto sessions = ports_.sessions();
  std::ranges::stable_partition(sessions, [](const auto& one) { return !one->hibernates(); });
  std::size_t tried = 0;
  for (const auto& session : sessions) {
    if (ctx.cancelled() || tried == kMostTriedAhead) return;
    if (!is_open_to(*session, runner)) continue;
    const auto key = key_of(session->run, runner);
    if (!key || knows(*key)) continue;  // tried when it is asked for, or was
    ++tried;
    if (auto good = good_in(*session, runner, ctx); !good && !ctx.cancelled())
      log_.warning("a runner that was added is no good for a session",
                   {{"run", session->run.id}, {"why", good.error().message}});
  }
}

}  // namespace tare::host
