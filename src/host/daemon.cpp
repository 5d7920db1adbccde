#include "host/daemon.h"

#include <signal.h>
#include <sys/utsname.h>

#include "fiber/signals.h"
#include "host/blob_sweep.h"
#include "host/exec_service.h"
#include "host/flattener.h"
#include "host/recovery.h"
#include "host/runner_scratch.h"
#include "host/runner_steps.h"
#include "host/runner_swap.h"
#include "host/sandbox_files.h"
#include "host/services.h"
#include "sandbox/seccomp/build.h"
#include "sys/files.h"
#include "sys/landlock.h"

namespace tare::host {

namespace {

constexpr std::size_t kOffloadThreads = 4;
constexpr std::size_t kOffloadQueue = 4096;
constexpr fiber::Duration kSweepInterval = std::chrono::minutes(10);

// LauncherLink and the services know each other; the link is made first.
class EventsRelay final : public LauncherEvents, public ExecEvents {
 public:
  void set(RunService* service, ExecService* execs) {
    service_ = service;
    execs_ = execs;
  }
  void on_live_exec(const sandbox::LiveExecMessage& message,
                    std::vector<sys::UniqueFd> fds) override {
    execs_->on_live_exec(message, std::move(fds));
  }
  void on_execs_listed() override { execs_->on_execs_listed(); }
  void on_exec_started(const sandbox::ExecStartedMessage& message,
                       sys::UniqueFd terminal) override {
    execs_->on_exec_started(message, std::move(terminal));
  }
  void on_exec_ended(const sandbox::ExecEndedMessage& message) override {
    execs_->on_exec_ended(message);
  }
  void on_launcher_gone(const std::string& why) override { service_->on_launcher_gone(why); }
  void on_live(const sandbox::LiveMessage& message, std::vector<sys::UniqueFd> fds) override {
    service_->on_live(message, std::move(fds));
  }
  void on_listed() override { service_->on_listed(); }
  void on_started(const sandbox::StartedMessage& message) override {
    service_->on_started(message);
  }
  void on_denied(const sandbox::DeniedMessage& message) override { service_->on_denied(message); }
  void on_ended(const sandbox::EndedMessage& message, sys::UniqueFd output) override {
    execs_->on_sandbox_ended(message.id);
    service_->on_ended(message, std::move(output));
  }

 private:
  RunService* service_ = nullptr;
  ExecService* execs_ = nullptr;
};

Result<Filters> build_filters() {
  return Filters{TRY(sandbox::build_filter(model::Profile::strict)),
                 TRY(sandbox::build_filter(model::Profile::standard)),
                 TRY(sandbox::build_filter(model::Profile::build)), sys::landlock_abi()};
}

std::string kernel_text() {
  utsname name = {};
  (void)::uname(&name);
  return std::string(name.sysname) + " " + name.release;
}

// The services live on the root fiber's stack; leaving it cancels and awaits all that refers to
// them.
Result<> serve(const DaemonDeps& deps, const RunDeps& run_deps, EventsRelay& relay,
               runs::Blobs& blobs, Canaries& canaries, Secrets& secrets, Leftovers left,
               const Sha256Digest& api_key, fiber::Signals& signals, const fiber::Context& ctx) {
  TRY(learn_flat_layers(run_deps));
  RunService runs(run_deps, deps.random, ctx);
  Checkpoints checkpoints(run_deps, runs, ctx);
  ExecService execs(run_deps, runs, checkpoints, ctx);
  Sessions sessions(run_deps, runs, checkpoints, ctx);
  SandboxFiles files(execs, checkpoints, deps.files_program);
  relay.set(&runs, &execs);
  runs.take_up(std::move(left));
  Environments environments(run_deps, runs);
  RunnerTrials trials(deps.clock, deps.log, run_deps.layers, trial_ports(run_deps, runs), ctx);
  Runners runners(run_deps, runs, trials);
  RunnerSwap runner_swap(swap_ports({run_deps, runs, execs, files, runners, trials}, ctx),
                         run_deps.layers, deps.log, ctx);
  Agents agents(run_deps, environments, runners);
  Admission admission(run_deps, agents, environments, runners);
  Listeners& listeners = deps.prepared.listeners;
  Services services{run_deps,     runs,   execs,        sessions,
                    checkpoints,  files,  environments, runners,
                    runner_swap,  agents, admission,    canaries,
                    secrets,      blobs,  api_key,      listeners.address(),
                    kernel_text()};
  const http::Server server(surface_routes(services), surface_options(services));

  const BlobSweep sweep{blobs,
                        [&runs] { return runs.inputs_in_use(); },
                        run_deps.offload,
                        deps.clock,
                        deps.log,
                        kSweepInterval};
  fiber::TaskGroup links(ctx);
  links.spawn([&](const fiber::Context& task) { run_deps.launcher.run(task); });
  links.spawn([&](const fiber::Context& task) { run_deps.store.watch(task); });
  links.spawn([&](const fiber::Context& task) { sweep_blobs(sweep, task); });
  links.spawn([&](const fiber::Context& task) { keep_flat(run_deps, task); });
  links.spawn([&](const fiber::Context& task) { sessions.keep(task); });
  fiber::TaskGroup servers(ctx);
  for (fiber::Listener* listener : {static_cast<fiber::Listener*>(&listeners.unix_socket),
                                    static_cast<fiber::Listener*>(&listeners.tcp)}) {
    servers.spawn([&, listener](const fiber::Context& task) {
      if (auto served = server.serve(*listener, task); !served)
        deps.log.error("cannot listen", served.error());
    });
  }
  deps.log.info(
      "tared ready",
      {{"version", TARE_VERSION}, {"home", deps.config.home}, {"address", services.address}});
  const int number = TRY(signals.wait(ctx));
  deps.log.info("stopping", {{"signal", number}, {"live_runs", runs.active()}});
  servers.cancel();
  servers.join();  // running requests have a few seconds
  return ok();
}

}  // namespace

Result<> run_daemon(const DaemonDeps& deps) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  auto signals = TRY(fiber::Signals::block({SIGTERM, SIGINT}));
  const Home& home = deps.prepared.home;
  const Sha256Digest api_key = TRY(api_key_digest(home, deps.random));
  const Filters filters = TRY(build_filters().context("system call filter"));
  auto store = TRY(runs::SqliteStore::open(home.database(), {}, deps.clock.wall_ms()));
  auto blobs = TRY(runs::Blobs::open(sys::kCwd, home.blobs(), deps.random));
  Leftovers left = TRY(
      find_leftovers(*store, blobs, home.runs.get(), deps.clock.wall_ms(), deps.log));

  runs::SecretRows secret_rows = TRY(store->list_secrets(kTenant));

  auto loop = TRY(fiber::Loop::create());
  fiber::Offload offload(kOffloadThreads, kOffloadQueue);
  Records records(*loop, *store);
  EventsRelay relay;
  LauncherLink launcher(home.launcher_socket(), relay, relay, deps.log);
  StoreLink store_link(home.store_socket(), offload);
  RunLogs logs(home.runs.get(), deps.clock);
  BasePlans base_plans(filters);
  LayerGate layers;
  FlatChains flat;
  Canaries canaries = TRY(Canaries::open(home.state.get()));
  Secrets secrets({records, deps.clock, deps.random, deps.log, home.state.get(), deps.vault_key},
                  std::move(secret_rows));
  const KnownSecrets known_secrets = TRY(
      KnownSecrets::open(home.state.get(), canaries, secrets, deps.random));
  const RunDeps run_deps{deps.config, deps.clock, deps.log, records,       launcher,
                         store_link,  logs,       blobs,    offload,       filters,
                         base_plans,  layers,     flat,     known_secrets, home.runs.get()};
  Result<> served;
  loop->spawn([&](const fiber::Context& ctx) {
    served = serve(deps, run_deps, relay, blobs, canaries, secrets, std::move(left), api_key,
                   signals, ctx);
  });
  loop->run();
  deps.log.info("tared stopped");
  return served;
}

}  // namespace tare::host
