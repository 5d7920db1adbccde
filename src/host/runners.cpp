#include "host/runners.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "host/launch_parts.h"
#include "sys/files.h"

namespace tare::host {

namespace {

constexpr std::string_view kManifestName = "runner.toml";

Result<model::Runner> find_runner(runs::Store& store, const model::RunnerRef& ref) {
  return store.get_runner(kTenant, ref.name, ref.version);
}

Result<model::Agent> agent_with_runner(runs::Store& store, const std::string& name) {
  model::Agent agent = TRY(store.get_agent(kTenant, name, std::nullopt));
  if (!agent.manifest.runner.empty()) return agent;
  return Error{
      Errc::conflict,
      fmt::format("agent {} has no runner: write runner = \"NAME\" into its agent.toml, and "
                  "`tare agent apply` it",
                  name)};
}

// The agent, if that runner can be rolled out to it.
Result<model::Agent> agent_for(runs::Store& store, const std::string& name,
                               const std::string& runner) {
  model::Agent agent = TRY(agent_with_runner(store, name));
  const model::RunnerRef own = TRY(model::parse_runner_ref(agent.manifest.runner));
  if (own.name != runner) {
    return field_error("runner",
                       fmt::format("agent {} is made for {}, not for {}: `tare runner list` shows "
                                   "the versions of {}",
                                   name, own.name, runner, own.name));
  }
  if (own.version.empty()) return agent;
  return Error{Errc::conflict,
               fmt::format("agent.toml of {} says {}: write runner = \"{}\" there, then others can "
                           "be rolled out",
                           name, own.text(), own.name)};
}

// What holds for an agent; nullopt when nothing was said about that runner.
Result<std::optional<model::Rollout>> rollout_of(runs::Store& store, std::string_view agent,
                                                 std::string_view runner_name) {
  const auto newest = TRY(store.rollouts(kTenant, agent, 1));
  if (newest.empty() || TRY(model::parse_runner_ref(newest.front().runner)).name != runner_name)
    return std::optional<model::Rollout>();
  return std::optional(newest.front());
}

Result<> refuse_if_needed(runs::Store& store, const model::Runner& runner) {
  const std::string reference = runner.reference();
  TRY(store.each_rollout(
      kTenant, [&](std::string_view agent, const model::Rollout& rollout) -> Result<> {
        if (rollout.runner != reference && rollout.rest != reference) return ok();
        return Error{Errc::conflict,
                     fmt::format("runner {} is that of agent {}; `tare runner use` gives it "
                                 "another",
                                 reference, agent)};
      }));
  return store.each_agent_version(kTenant, [&](const model::Agent& agent) -> Result<> {
    if (agent.manifest.runner != reference) return ok();
    return Error{Errc::conflict,
                 fmt::format("agent {}@{} needs runner {}, as its agent.toml says: it is kept, and "
                             "so is the runner",
                             agent.name, agent.version, reference)};
  });
}

// What a run of the agent is made from, but for the run.
Result<model::SandboxSpec> example_spec(const model::Agent& agent, const model::Runner& runner,
                                        const RunDeps& deps) {
  model::Run run;
  run.id = std::string(kRunIdBytes, '0');
  model::RunRequest& request = run.request;
  request.environment_digest = agent.environment_digest;
  request.environment_layers = agent.environment_layers;
  request.files_digest = agent.files_digest;
  request.runner = runner.reference();
  request.runner_digest = runner.digest;
  request.user = agent.manifest.user;
  request.profile = agent.manifest.profile;
  request.limits = agent.manifest.limits;
  model::SandboxSpec spec = TRY(sandbox_spec(run, Purpose::run));
  spec.layers = deps.flat.mounted(run);
  return spec;
}

}  // namespace

Result<> check_runner_files(const std::vector<UploadedFile>& files) {
  TRY(check_upload_paths(files));
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!model::is_compiled(files[i].path)) continue;
    return field_error(
        fmt::format("files[{}].path", i),
        quote(files[i].path) + " is compiled code, which may be another's: leave it out");
  }
  if (std::ranges::find(files, kManifestName, &UploadedFile::path) == files.end())
    return field_error("files", "runner.toml is missing: it names the runner");
  return ok();
}

Result<model::RunnerManifest> Runners::manifest_of(const std::vector<UploadedFile>& files) {
  const auto file = std::ranges::find(files, kManifestName, &UploadedFile::path);
  CHECK(file != files.end());  // check_runner_files has looked
  auto blob = deps_.blobs.read(file->digest);
  if (!blob) return std::move(blob).error().context("files: runner.toml: upload it first");
  std::vector<std::byte> bytes(kMaxTomlBytes + 1);
  const std::size_t size = TRY(sys::read_at(blob->get(), bytes, 0));
  if (size > kMaxTomlBytes)
    return Error{Errc::exhausted, fmt::format("runner.toml: more than {} bytes", kMaxTomlBytes)};
  return model::parse_runner_toml({reinterpret_cast<const char*>(bytes.data()), size});
}

Result<runs::StoredRunner> Runners::add(std::vector<UploadedFile> files,
                                        const fiber::Context& ctx) {
  TRY(check_runner_files(files));
  model::Runner runner;
  runner.tenant = kTenant;
  runner.manifest = TRY(manifest_of(files));
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until it is recorded
  runner.digest = TRY(import_uploads(deps_, snapshot::FilesOf::runner, std::move(files), ctx));
  runner.created_ms = deps_.clock.wall_ms();
  auto stored = TRY(
      deps_.records.run([&](runs::Store& store) { return store.put_runner(runner); }));
  if (!stored.existed) trials_.try_ahead(stored.runner, ctx);
  return stored;
}

Result<model::Runner> Runners::get(const model::RunnerRef& ref) {
  return unless_going(
      TRY(deps_.records.run([&](runs::Store& store) { return find_runner(store, ref); })));
}

Result<model::Runner> Runners::unless_going(model::Runner runner) const {
  if (!going_.contains(runner.reference())) return runner;
  return Error{Errc::conflict,
               fmt::format("runner {} is being removed: try again in a moment, or name another "
                           "version",
                           runner.reference())};
}

Result<std::vector<model::Runner>> Runners::list() {
  return deps_.records.run([](runs::Store& store) { return store.list_runners(kTenant); });
}

Result<> Runners::refuse_if_run(const model::Runner& runner) const {
  const std::string run = runs_.run_with_runner(runner.digest);
  if (run.empty()) return ok();
  return Error{Errc::conflict, fmt::format("runner {} is in use by {}; `tare kill` ends it",
                                           runner.reference(), run)};
}

Result<> Runners::remove(const model::RunnerRef& ref, const fiber::Context& ctx) {
  if (ref.version.empty())
    return field_error("runner", "name the version that is to go: " + ref.name + "@VERSION");
  const model::Runner runner = TRY(get(ref));
  TRY(refuse_if_run(runner));
  const auto needed = [&](runs::Store& store) { return refuse_if_needed(store, runner); };
  TRY(deps_.records.run(needed));
  // Nobody gets it from here on. Who had found it just before has begun to use it when the readers
  // have gone, or never will.
  TRY(unless_going(runner));
  going_.insert(runner.reference());
  auto removed = deps_.layers.readers_gone(ctx);
  if (removed) removed = refuse_if_run(runner);
  if (removed) {
    removed = deps_.records.run([&](runs::Store& store) -> Result<> {
      TRY(needed(store));
      return store.delete_runner(kTenant, ref.name, ref.version);
    });
  }
  going_.erase(runner.reference());
  return removed;
}

Result<model::Runner> Runners::chosen(const std::string& agent, const std::string& runner,
                                      const std::string& run_id) {
  model::RunnerRef ref = TRY(model::parse_runner_ref(runner));
  return unless_going(TRY(deps_.records.run([&](runs::Store& store) -> Result<model::Runner> {
    if (ref.version.empty()) {
      if (const auto rollout = TRY(rollout_of(store, agent, ref.name)))
        ref = TRY(model::parse_runner_ref(model::choose_runner(*rollout, agent, run_id)));
    }
    return find_runner(store, ref);
  })));
}

Result<> Runners::begin(runs::Store& store, const model::Agent& agent) {
  const model::RunnerRef ref = TRY(model::parse_runner_ref(agent.manifest.runner));
  const model::Runner newest = TRY(find_runner(store, ref));
  if (!ref.version.empty() || TRY(rollout_of(store, agent.name, ref.name))) return ok();
  model::Rollout first;
  first.at_ms = deps_.clock.wall_ms();
  first.runner = newest.reference();
  TRY(store.add_rollout(kTenant, agent.name, first));
  return ok();
}

void Runners::make_ready(const std::string& agent, const model::RunnerRef& ref,
                         const fiber::Context& ctx) {
  const auto done = [&]() -> Result<> {
    const auto [found, runner] = TRY(deps_.records.run(
        [&](runs::Store& store) -> Result<std::pair<model::Agent, model::Runner>> {
          return std::pair(TRY(agent_for(store, agent, ref.name)), TRY(find_runner(store, ref)));
        }));
    const SandboxOrder order = TRY(sandbox_order(TRY(example_spec(found, runner, deps_)), deps_));
    return TRY(deps_.launcher.prepare(order.base, order.plan.get(), ctx))
               ? ok()
               : Result<>(Error{Errc::unavailable, "none can wait"});
  }();
  if (done) return;
  deps_.log.warning("no sandboxes were made ahead of time", {{"why", done.error().message}});
}

Result<model::Rollout> Runners::use(const model::RunnerRef& ref, const std::string& agent,
                                    std::uint32_t percent, const fiber::Context& ctx) {
  make_ready(agent, ref, ctx);
  model::Runner runner;
  auto used = TRY(deps_.records.run([&](runs::Store& store) -> Result<model::Rollout> {
    TRY(agent_for(store, agent, ref.name));
    runner = TRY(find_runner(store, ref));
    const auto now = TRY(rollout_of(store, agent, ref.name));
    model::Rollout next = model::next_rollout(now.value_or(model::Rollout{}), runner.reference(),
                                              percent);
    if (percent < 100 && next.rest.empty())
      return field_error("percent",
                         "nothing is in use that the rest could have: leave --percent out");
    next.at_ms = deps_.clock.wall_ms();
    return store.add_rollout(kTenant, agent, next);
  }));
  trials_.try_ahead(runner, ctx);  // what was known may be forgotten
  return used;
}

Result<model::Rollout> Runners::back(const std::string& agent, const fiber::Context& ctx) {
  const auto back = TRY(deps_.records.run([&](runs::Store& store) -> Result<model::Rollout> {
    const model::Agent found = TRY(agent_with_runner(store, agent));
    const std::string own = TRY(model::parse_runner_ref(found.manifest.runner)).name;
    TRY(agent_for(store, agent, own));
    const auto before = model::rollout_before(
        TRY(store.rollouts(kTenant, agent, runs::kMaxRollouts)));
    // Of another runner, from before agent.toml named this one, there is nothing to go back to.
    if (!before || TRY(model::parse_runner_ref(before->runner)).name != own)
      return Error{Errc::conflict,
                   fmt::format("agent {} had no other version of {} before: `tare runner history "
                               "--agent {}` lists what it had, `tare runner use` gives it one",
                               agent, own, agent)};
    model::Rollout next = *before;
    for (const std::string* one : {&next.runner, &next.rest}) {
      if (!one->empty()) TRY(find_runner(store, TRY(model::parse_runner_ref(*one))));
    }
    next.at_ms = deps_.clock.wall_ms();
    return store.add_rollout(kTenant, agent, next);
  }));
  make_ready(agent, TRY(model::parse_runner_ref(back.runner)), ctx);
  return back;
}

Result<std::vector<model::Rollout>> Runners::history(const std::string& agent) {
  return deps_.records.run([&](runs::Store& store) -> Result<std::vector<model::Rollout>> {
    TRY(agent_with_runner(store, agent));
    return store.rollouts(kTenant, agent, runs::kMaxRollouts);
  });
}

}  // namespace tare::host
