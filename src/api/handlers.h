// The handlers of the native REST API, one for each operation of docs/api/openapi.yaml and named
// like it. Each decodes strictly, calls host, encodes. See routes.cpp for the table.
#pragma once

#include "base/result.h"
#include "host/services.h"
#include "http/exchange.h"

namespace tare::api {

using host::Services;
using http::Exchange;

Result<> get_health(Services& services, Exchange& exchange);
Result<> get_info(Services& services, Exchange& exchange);

Result<> list_profiles(Services& services, Exchange& exchange);

Result<> create_blob(Services& services, Exchange& exchange);
Result<> head_blob(Services& services, Exchange& exchange);

Result<> create_run(Services& services, Exchange& exchange);
Result<> list_runs(Services& services, Exchange& exchange);
Result<> get_run(Services& services, Exchange& exchange);
Result<> delete_run(Services& services, Exchange& exchange);
Result<> list_run_events(Services& services, Exchange& exchange);
Result<> kill_run(Services& services, Exchange& exchange);
Result<> wait_run(Services& services, Exchange& exchange);
Result<> get_run_logs(Services& services, Exchange& exchange);
Result<> write_run_stdin(Services& services, Exchange& exchange);
Result<> list_run_artifacts(Services& services, Exchange& exchange);
Result<> get_run_artifact(Services& services, Exchange& exchange);

Result<> create_session(Services& services, Exchange& exchange);
Result<> list_sessions(Services& services, Exchange& exchange);
Result<> get_session(Services& services, Exchange& exchange);
Result<> hibernate_session(Services& services, Exchange& exchange);
Result<> checkpoint_session(Services& services, Exchange& exchange);
Result<> wake_session(Services& services, Exchange& exchange);
Result<> fork_session(Services& services, Exchange& exchange);
Result<> freeze_session(Services& services, Exchange& exchange);
Result<> swap_session_runner(Services& services, Exchange& exchange);
Result<> end_session(Services& services, Exchange& exchange);

Result<> create_exec(Services& services, Exchange& exchange);
Result<> list_execs(Services& services, Exchange& exchange);
Result<> get_exec(Services& services, Exchange& exchange);
Result<> get_exec_logs(Services& services, Exchange& exchange);
Result<> write_exec_stdin(Services& services, Exchange& exchange);
Result<> signal_exec(Services& services, Exchange& exchange);
Result<> resize_exec(Services& services, Exchange& exchange);

Result<> stat_file(Services& services, Exchange& exchange);
Result<> list_files(Services& services, Exchange& exchange);
Result<> read_file(Services& services, Exchange& exchange);
Result<> write_file(Services& services, Exchange& exchange);
Result<> remove_file(Services& services, Exchange& exchange);
Result<> move_file(Services& services, Exchange& exchange);
Result<> make_folder(Services& services, Exchange& exchange);
Result<> watch_file(Services& services, Exchange& exchange);

Result<> apply_agent(Services& services, Exchange& exchange);
Result<> list_agents(Services& services, Exchange& exchange);
Result<> get_agent(Services& services, Exchange& exchange);
Result<> get_agent_version(Services& services, Exchange& exchange);

Result<> add_runner(Services& services, Exchange& exchange);
Result<> list_runners(Services& services, Exchange& exchange);
Result<> get_runner(Services& services, Exchange& exchange);
Result<> get_runner_version(Services& services, Exchange& exchange);
Result<> remove_runner(Services& services, Exchange& exchange);
Result<> get_agent_runner(Services& services, Exchange& exchange);
Result<> use_agent_runner(Services& services, Exchange& exchange);
Result<> roll_back_agent_runner(Services& services, Exchange& exchange);

Result<> build_environment(Services& services, Exchange& exchange);
Result<> import_environment(Services& services, Exchange& exchange);
Result<> export_environment(Services& services, Exchange& exchange);
Result<> pull_image(Services& services, Exchange& exchange);
Result<> push_environment(Services& services, Exchange& exchange);
Result<> list_environments(Services& services, Exchange& exchange);
Result<> get_environment(Services& services, Exchange& exchange);
Result<> verify_environment(Services& services, Exchange& exchange);
Result<> verify_store(Services& services, Exchange& exchange);
Result<> diff_environments(Services& services, Exchange& exchange);
Result<> sweep_layers(Services& services, Exchange& exchange);
Result<> fork_environment(Services& services, Exchange& exchange);
Result<> tag_environment(Services& services, Exchange& exchange);
Result<> remove_environment(Services& services, Exchange& exchange);

Result<> add_canary(Services& services, Exchange& exchange);
Result<> list_canaries(Services& services, Exchange& exchange);
Result<> remove_canary(Services& services, Exchange& exchange);
Result<> set_secret(Services& services, Exchange& exchange);
Result<> list_secrets(Services& services, Exchange& exchange);
Result<> rotate_secret(Services& services, Exchange& exchange);
Result<> remove_secret(Services& services, Exchange& exchange);

}  // namespace tare::api
