// What is kept about runs, agents, environments and secrets: the interface. Every row belongs to a
// tenant, and no call reaches another tenant's rows. A run changes only by an event
// (model::advance), and the event and what it makes of the run are stored together or not at all.
//
// Owner: tared. Threads: one, that of the database (sql/group_commit.h); calls block on the disk.
// Each call is one transaction, or a part of the one that is open: durable when the outermost has
// been committed. Errors: Errc::not_found, conflict (what the state or the key does not allow),
// invalid (what was passed in), internal for a row that cannot be read (its key is named). What
// never happens: a change of an agent's version or a run's request after it was stored; a row that
// this program could not read back is written.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "model/agent.h"
#include "model/environment.h"
#include "model/rollout.h"
#include "model/run.h"
#include "model/runner.h"
#include "model/secret.h"
#include "model/session_runner.h"

namespace tare::runs {

// Events of one run; beyond it only `ended` is taken.
inline constexpr std::uint64_t kMaxEventsPerRun = 10'000;
// The JSON of one value in a row, bytes.
inline constexpr std::size_t kMaxStoredJsonBytes = std::size_t{8} << 20;

struct CreatedRun {
  model::Run run;
  bool existed = false;  // an earlier request with the same idempotency key made it
};

struct AppendedEvent {
  model::Run run;  // after the event
  model::RunEvent event;
};

struct RunFilter {
  std::vector<model::RunState> states;  // empty: all
  std::string agent;                    // empty: all
  bool sessions_only = false;
  std::string cursor;       // `next_cursor` of the page before; empty: from the newest
  std::size_t limit = 100;  // 1 to kMaxListedRuns
};
struct RunPage {
  std::vector<model::Run> runs;  // newest first
  std::string next_cursor;       // empty: that was the last page
};

// By the environment's digest.
using FlatByDigest = std::map<std::string, model::FlatLayers, std::less<>>;

// For recovery: a row that cannot be read must not keep the others from being looked after.
struct UnfinishedRuns {
  std::vector<model::Run> runs;  // of all tenants, oldest first
  std::vector<Error> damaged;
};

struct StoredAgent {
  model::Agent agent;
  bool existed = false;  // the newest version is the same: nothing was stored
};
struct AgentPage {
  std::vector<model::Agent>
      agents;  // the newest version of each (so `version` says how many there are), by name
  std::string next_cursor;  // empty: that was the last page
};

struct StoredRunner {
  model::Runner runner;
  bool existed = false;  // that version is the same: nothing was stored
};
// A row that cannot be read keeps the others from nothing; it can be removed by its name.
struct DamagedSecret {
  std::string name;
  Error error;
};
struct SecretRows {
  std::vector<model::SealedSecret> secrets;  // by name
  std::vector<DamagedSecret> damaged;
};
// Of one agent; the oldest go.
inline constexpr std::uint64_t kMaxRollouts = 1000;

class Store {
 public:
  virtual ~Store() = default;

  // `run` is queued, with id, created_ms and request set. With an idempotency key in the request,
  // the same key and the same `request_digest` give the run that is there; another digest is a
  // conflict. `request_digest` says what the client asked for, before names were resolved; when
  // empty the request itself is compared.
  virtual Result<CreatedRun> create_run(const model::Run& run, std::string_view request_digest) = 0;
  // `event.sequence` is given by the store. Messages are cut to kMaxMessageBytes.
  virtual Result<AppendedEvent> append_event(std::string_view tenant, std::string_view run_id,
                                             const model::RunEvent& event) = 0;
  virtual Result<model::Run> get_run(std::string_view tenant, std::string_view run_id) = 0;
  virtual Result<RunPage> list_runs(std::string_view tenant, const RunFilter& filter) = 0;
  virtual Result<std::vector<model::RunEvent>> events(std::string_view tenant,
                                                      std::string_view run_id,
                                                      std::uint64_t after_sequence) = 0;
  virtual Result<UnfinishedRuns> unfinished_runs() = 0;
  // Conflict while it has not ended.
  virtual Result<> delete_run(std::string_view tenant, std::string_view run_id) = 0;

  // Stored as the next version, unless it is the same as the newest but for version and created_ms.
  virtual Result<StoredAgent> put_agent(const model::Agent& agent) = 0;
  // nullopt: the newest.
  virtual Result<model::Agent> get_agent(std::string_view tenant, std::string_view name,
                                         std::optional<std::uint32_t> version) = 0;
  virtual Result<AgentPage> list_agents(std::string_view tenant, std::string_view cursor,
                                        std::size_t limit) = 0;
  // Every version of every agent, by name and version. An error of `take` ends it.
  virtual Result<> each_agent_version(std::string_view tenant,
                                      const std::function<Result<>(const model::Agent&)>& take) = 0;

  // Replaces the one of that name. Its flat layers are not kept with it, but below.
  virtual Result<> put_environment(const model::Environment& environment) = 0;
  // By name; else the newest with that canonical source; else the newest with that digest.
  virtual Result<model::Environment> get_environment(std::string_view tenant,
                                                     std::string_view reference) = 0;
  virtual Result<std::vector<model::Environment>> list_environments(std::string_view tenant) = 0;
  // The one of exactly that name.
  virtual Result<> delete_environment(std::string_view tenant, std::string_view name) = 0;
  // Of the environments of that digest, those to come included. Replaces what is there.
  virtual Result<> put_flat_layers(std::string_view tenant, std::string_view digest,
                                   const model::FlatLayers& flat) = 0;
  virtual Result<FlatByDigest> flat_layers(std::string_view tenant) = 0;
  virtual Result<> delete_flat_layers(std::string_view tenant, std::string_view digest) = 0;

  // Conflict when that version is there with other files.
  virtual Result<StoredRunner> put_runner(const model::Runner& runner) = 0;
  // Without a version: the one that was added last.
  virtual Result<model::Runner> get_runner(std::string_view tenant, std::string_view name,
                                           std::string_view version) = 0;
  // By name, in the order in which they were added.
  virtual Result<std::vector<model::Runner>> list_runners(std::string_view tenant) = 0;
  virtual Result<> delete_runner(std::string_view tenant, std::string_view name,
                                 std::string_view version) = 0;

  // `rollout.sequence` is given by the store.
  virtual Result<model::Rollout> add_rollout(std::string_view tenant, std::string_view agent,
                                             const model::Rollout& rollout) = 0;
  // Newest first, at most `limit`.
  virtual Result<std::vector<model::Rollout>> rollouts(std::string_view tenant,
                                                       std::string_view agent,
                                                       std::size_t limit) = 0;
  // What holds for each agent, by its name. An error of `take` ends it.
  virtual Result<> each_rollout(
      std::string_view tenant,
      const std::function<Result<>(std::string_view agent, const model::Rollout&)>& take) = 0;

  // What the program of a run reported (model/run_report.h), as JSON. Replaces what is there.
  virtual Result<> put_report(std::string_view tenant, std::string_view run_id,
                              std::string_view report) = 0;
  // The runner that a session has instead of the one in its request. Replaces what is there.
  virtual Result<> put_session_runner(std::string_view tenant, std::string_view run_id,
                                      const model::SessionRunner& runner) = 0;
  virtual Result<std::optional<model::SessionRunner>> get_session_runner(
      std::string_view tenant, std::string_view run_id) = 0;
  // "": nothing.
  virtual Result<std::string> get_report(std::string_view tenant, std::string_view run_id) = 0;

  // Its version is 1. Conflict when there is one of that name; exhausted beyond model::kMaxSecrets.
  virtual Result<> add_secret(const model::SealedSecret& secret) = 0;
  // Replaces the one of that name, whose version is one less (conflict) and whose creation stays.
  virtual Result<> rotate_secret(const model::SealedSecret& secret) = 0;
  virtual Result<> delete_secret(std::string_view tenant, std::string_view name) = 0;
  virtual Result<SecretRows> list_secrets(std::string_view tenant) = 0;
};

}  // namespace tare::runs
