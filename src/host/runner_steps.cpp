#include "host/runner_steps.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/limits.h"
#include "host/code_caches.h"
#include "host/handshake.h"
#include "host/spec.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr fiber::Duration kSettlePatience = 10s;
constexpr fiber::Duration kLookPatience = 10s;

// By the way that every program takes: through tare-init, into the sandbox's own root.
Result<> look_inside(const SwapTools& tools, const LiveRun& live, const model::Runner& runner,
                     const fiber::Context& ctx) {
  const auto patient = ctx.with_timeout(kLookPatience);
  const std::string path = std::string(model::kRunnerPath) + "/runner.toml";
  auto reading = TRY(
      tools.files.start(live.run.id, "read", {{"runner", path}}, {"0", "-"}, patient));
  const auto head = TRY(reading.head(patient));
  std::string text(std::min<std::size_t>(head.size, kMaxTomlBytes), '\0');
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = TRY(reading.read_some(std::span(text).subspan(at), patient));
    if (n == 0) return Error{Errc::conflict, path + " is cut short"};
    at += n;
  }
  reading.done();
  const model::RunnerManifest seen = TRY(model::parse_runner_toml(text, path));
  if (seen == runner.manifest) return ok();
  return Error{Errc::conflict, fmt::format("{}@{} is seen there", seen.name, seen.version)};
}

Result<> shake_hands_inside(const SwapTools& tools, LiveRun& live, const model::Runner& runner,
                            const fiber::Context& ctx) {
  model::ExecRequest request{.argv = runner.manifest.handshake,
                             .cwd = handshake_folder(runner.manifest)};
  const auto exec = TRY(tools.execs.create_while_changing(live.run.id, std::move(request), ctx));
  const auto patience = ctx.with_timeout(std::chrono::milliseconds(runner.manifest.handshake_ms));
  TRY(exec->changed.wait_until([&] { return exec->recorded || live.ended || live.lost; },
                               patience));
  return judge_handshake(exec->ended, *exec->log->log);
}

Result<> confirm(const SwapTools& tools, LiveRun& live, const model::Runner& runner, bool as_made,
                 const fiber::Context& ctx) {
  TRY(tools.execs.files_settled(live.run.id, ctx.with_timeout(kLookPatience)));
  const auto caches = code_caches(environment_variables(live.run.request, live.run.id));
  if (auto purged = purge(caches, live.run.id, tools.files, ctx); !purged)  // it is of no use there
    tools.deps.log.warning("compiled code of a runner could not be removed",
                           {{"run", live.run.id}, {"why", purged.error().message}});
  TRY(look_inside(tools, live, runner, ctx).context("the new runner is not seen inside"));
  if (as_made && runner.manifest.isolated_handshake && !leads_into_its_own(live.run.request.env))
    return ok();  // it would say what it has said in the trial
  return shake_hands_inside(tools, live, runner, ctx);
}

Result<bool> exchange(const SwapTools& tools, LiveRun& live, const model::Runner& runner,
                      bool& touched, const fiber::Context& ctx) {
  sandbox::SwapMessage wanted{live.run.id, runner.digest, live.run.own.root};
  return TRY(tools.deps.launcher.swap(std::move(wanted), touched, ctx)).as_made;
}

Result<> record(const SwapTools& tools, const LiveRun& live, const model::SessionRunner& runner) {
  return tools.deps.records.run(
      [&](runs::Store& store) { return store.put_session_runner(kTenant, live.run.id, runner); });
}

}  // namespace

SwapPorts swap_ports(const SwapTools& tools, const fiber::Context& ctx) {
  using model::Runner, model::SessionRunner;
  using Live = LiveRun;
  return {
      .live = [tools](const std::string& id) { return tools.runs.live(id); },
      .running = [tools, &ctx](const std::string& id) { return tools.runs.running(id, ctx); },
      .find = [tools](const model::RunnerRef& ref) { return tools.runners.get(ref); },
      .validate = [tools, &ctx](const Live& live, const Runner& runner) -> Result<> {
        return tools.trials.good_in(live, runner, ctx);
      },
      .settle = [tools, &ctx](const Live& live) -> Result<> {
        return tools.execs.settled(live.run.id, ctx.with_timeout(kSettlePatience));
      },
      .record = [tools](const Live& live, const SessionRunner& runner) -> Result<> {
        return record(tools, live, runner);
      },
      .exchange = [tools, &ctx](Live& live, const Runner& runner, bool& touched) -> Result<bool> {
        return exchange(tools, live, runner, touched, ctx);
      },
      .confirm = [tools, &ctx](Live& live, const Runner& runner, bool as_made) -> Result<> {
        return confirm(tools, live, runner, as_made, ctx);
      },
      .end_sandbox = [tools](const std::string& id) { tools.runs.end_sandbox(id); }};
}

}  // namespace tare::host
