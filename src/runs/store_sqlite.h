// Store on SQLite: the tables of schema/*.sql. See store.h for what each call means.
//
// Owner: tared, which hands database() to a GroupCommitter and then calls only from its thread.
#pragma once

#include <memory>
#include <string>

#include "runs/store.h"
#include "sql/sqlite.h"

namespace tare::runs {

class SqliteStore final : public Store {
 public:
  // Opens or makes the file and brings its schema up to date.
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path,
                                                   const sql::SqliteOptions& options,
                                                   std::uint64_t now_ms);
  static Result<std::unique_ptr<SqliteStore>> open(std::unique_ptr<sql::Sqlite> database,
                                                   std::uint64_t now_ms);
  sql::Sqlite& database() { return *database_; }

  Result<CreatedRun> create_run(const model::Run& run, std::string_view request_digest) override;
  Result<AppendedEvent> append_event(std::string_view tenant, std::string_view run_id,
                                     const model::RunEvent& event) override;
  Result<model::Run> get_run(std::string_view tenant, std::string_view run_id) override;
  Result<RunPage> list_runs(std::string_view tenant, const RunFilter& filter) override;
  Result<std::vector<model::RunEvent>> events(std::string_view tenant, std::string_view run_id,
                                              std::uint64_t after_sequence) override;
  Result<UnfinishedRuns> unfinished_runs() override;
  Result<> delete_run(std::string_view tenant, std::string_view run_id) override;

  Result<StoredAgent> put_agent(const model::Agent& agent) override;
  Result<model::Agent> get_agent(std::string_view tenant, std::string_view name,
                                 std::optional<std::uint32_t> version) override;
  Result<AgentPage> list_agents(std::string_view tenant, std::string_view cursor,
                                std::size_t limit) override;

  Result<> each_agent_version(std::string_view tenant,
                              const std::function<Result<>(const model::Agent&)>& take) override;
  Result<> put_environment(const model::Environment& environment) override;
  Result<model::Environment> get_environment(std::string_view tenant,
                                             std::string_view reference) override;
  Result<std::vector<model::Environment>> list_environments(std::string_view tenant) override;
  Result<> delete_environment(std::string_view tenant, std::string_view name) override;
  Result<> put_flat_layers(std::string_view tenant, std::string_view digest,
                           const model::FlatLayers& flat) override;
  Result<FlatByDigest> flat_layers(std::string_view tenant) override;
  Result<> delete_flat_layers(std::string_view tenant, std::string_view digest) override;

  Result<StoredRunner> put_runner(const model::Runner& runner) override;
  Result<model::Runner> get_runner(std::string_view tenant, std::string_view name,
                                   std::string_view version) override;
  Result<std::vector<model::Runner>> list_runners(std::string_view tenant) override;
  Result<> delete_runner(std::string_view tenant, std::string_view name,
                         std::string_view version) override;
  Result<model::Rollout> add_rollout(std::string_view tenant, std::string_view agent,
                                     const model::Rollout& rollout) override;
  Result<std::vector<model::Rollout>> rollouts(std::string_view tenant, std::string_view agent,
                                               std::size_t limit) override;
  Result<> each_rollout(
      std::string_view tenant,
      const std::function<Result<>(std::string_view agent, const model::Rollout&)>& take) override;
  Result<> put_report(std::string_view tenant, std::string_view run_id,
                      std::string_view report) override;
  Result<std::string> get_report(std::string_view tenant, std::string_view run_id) override;
  Result<> put_session_runner(std::string_view tenant, std::string_view run_id,
                              const model::SessionRunner& runner) override;
  Result<std::optional<model::SessionRunner>> get_session_runner(std::string_view tenant,
                                                                 std::string_view run_id) override;
  Result<> add_secret(const model::SealedSecret& secret) override;
  Result<> rotate_secret(const model::SealedSecret& secret) override;
  Result<> delete_secret(std::string_view tenant, std::string_view name) override;
  Result<SecretRows> list_secrets(std::string_view tenant) override;

 private:
  explicit SqliteStore(std::unique_ptr<sql::Sqlite> database) : database_(std::move(database)) {}
  Result<std::optional<CreatedRun>> find_by_key(const model::Run& run, std::string_view digest);
  Result<> insert_run(const model::Run& run, std::string_view request, std::string_view digest);
  Result<> update_run(const model::Run& run, std::uint64_t last_sequence);
  Result<> insert_event(const model::Run& run, const model::RunEvent& event);
  Result<bool> make_place(const model::Run& run, std::uint64_t last_sequence,
                          model::RunEventType type);

  std::unique_ptr<sql::Sqlite> database_;
};

}  // namespace tare::runs
