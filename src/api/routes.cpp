#include "api/routes.h"

#include "api/errors.h"
#include "base/limits.h"

namespace tare::api {

namespace {

using http::Method;
constexpr int kUnsupportedMediaType = 415;

// The operation's id is its handler's name.
#define OPERATION(name) #name, name
constexpr Row kRows[] = {
    {Method::get, "/v1/health", Scope::daemon_read, Body::none, Pace::prompt,
     OPERATION(get_health)},
    {Method::get, "/v1/info", Scope::daemon_read, Body::none, Pace::prompt, OPERATION(get_info)},
    {Method::get, "/v1/profiles", Scope::daemon_read, Body::none, Pace::prompt,
     OPERATION(list_profiles)},
    {Method::post, "/v1/blobs", Scope::blobs_write, Body::upload, Pace::prompt,
     OPERATION(create_blob)},
    {Method::head, "/v1/blobs/{digest}", Scope::blobs_write, Body::none, Pace::prompt,
     OPERATION(head_blob)},
    {Method::post, "/v1/runs", Scope::runs_write, Body::json, Pace::prompt, OPERATION(create_run)},
    {Method::get, "/v1/runs", Scope::runs_read, Body::none, Pace::prompt, OPERATION(list_runs)},
    {Method::get, "/v1/runs/{id}", Scope::runs_read, Body::none, Pace::prompt, OPERATION(get_run)},
    {Method::del, "/v1/runs/{id}", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(delete_run)},
    {Method::get, "/v1/runs/{id}/events", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(list_run_events)},
    {Method::post, "/v1/runs/{id}/kill", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(kill_run)},
    {Method::get, "/v1/runs/{id}/wait", Scope::runs_read, Body::none, Pace::long_poll,
     OPERATION(wait_run)},
    {Method::get, "/v1/runs/{id}/logs", Scope::runs_read, Body::none, Pace::follow,
     OPERATION(get_run_logs)},
    {Method::post, "/v1/runs/{id}/stdin", Scope::runs_write, Body::stream, Pace::prompt,
     OPERATION(write_run_stdin)},
    {Method::get, "/v1/runs/{id}/artifacts", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(list_run_artifacts)},
    {Method::get, "/v1/runs/{id}/artifacts/content", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(get_run_artifact)},
    {Method::post, "/v1/sessions", Scope::runs_write, Body::json, Pace::prompt,
     OPERATION(create_session)},
    {Method::get, "/v1/sessions", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(list_sessions)},
    {Method::get, "/v1/sessions/{id}", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(get_session)},
    {Method::del, "/v1/sessions/{id}", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(end_session)},
    {Method::post, "/v1/sessions/{id}/hibernate", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(hibernate_session)},
    {Method::post, "/v1/sessions/{id}/checkpoint", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(checkpoint_session)},
    {Method::post, "/v1/sessions/{id}/wake", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(wake_session)},
    {Method::post, "/v1/sessions/{id}/fork", Scope::runs_write, Body::json, Pace::prompt,
     OPERATION(fork_session)},
    {Method::post, "/v1/sessions/{id}/runner", Scope::runs_write, Body::json, Pace::prompt,
     OPERATION(swap_session_runner)},
    {Method::post, "/v1/sessions/{id}/freeze", Scope::environments_write, Body::json, Pace::prompt,
     OPERATION(freeze_session)},
    {Method::post, "/v1/runs/{id}/execs", Scope::runs_write, Body::json, Pace::prompt,
     OPERATION(create_exec)},
    {Method::get, "/v1/runs/{id}/execs", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(list_execs)},
    {Method::get, "/v1/runs/{id}/execs/{number}", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(get_exec)},
    {Method::get, "/v1/runs/{id}/execs/{number}/logs", Scope::runs_read, Body::none, Pace::follow,
     OPERATION(get_exec_logs)},
    {Method::post, "/v1/runs/{id}/execs/{number}/stdin", Scope::runs_write, Body::stream,
     Pace::prompt, OPERATION(write_exec_stdin)},
    {Method::post, "/v1/runs/{id}/execs/{number}/signal", Scope::runs_write, Body::json,
     Pace::prompt, OPERATION(signal_exec)},
    {Method::post, "/v1/runs/{id}/execs/{number}/resize", Scope::runs_write, Body::json,
     Pace::prompt, OPERATION(resize_exec)},
    {Method::get, "/v1/runs/{id}/files", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(stat_file)},
    {Method::del, "/v1/runs/{id}/files", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(remove_file)},
    {Method::get, "/v1/runs/{id}/files/list", Scope::runs_read, Body::none, Pace::prompt,
     OPERATION(list_files)},
    {Method::get, "/v1/runs/{id}/files/content", Scope::runs_read, Body::none, Pace::follow,
     OPERATION(read_file)},
    {Method::put, "/v1/runs/{id}/files/content", Scope::runs_write, Body::stream, Pace::prompt,
     OPERATION(write_file)},
    {Method::post, "/v1/runs/{id}/files/move", Scope::runs_write, Body::json, Pace::prompt,
     OPERATION(move_file)},
    {Method::post, "/v1/runs/{id}/files/mkdir", Scope::runs_write, Body::none, Pace::prompt,
     OPERATION(make_folder)},
    {Method::get, "/v1/runs/{id}/files/watch", Scope::runs_read, Body::none, Pace::follow,
     OPERATION(watch_file)},
    {Method::post, "/v1/agents", Scope::agents_write, Body::json, Pace::prompt,
     OPERATION(apply_agent)},
    {Method::get, "/v1/agents", Scope::agents_read, Body::none, Pace::prompt,
     OPERATION(list_agents)},
    {Method::get, "/v1/agents/{name}", Scope::agents_read, Body::none, Pace::prompt,
     OPERATION(get_agent)},
    {Method::get, "/v1/agents/{name}/versions/{version}", Scope::agents_read, Body::none,
     Pace::prompt, OPERATION(get_agent_version)},
    {Method::post, "/v1/runners", Scope::runners_write, Body::json, Pace::prompt,
     OPERATION(add_runner)},
    {Method::get, "/v1/runners", Scope::runners_read, Body::none, Pace::prompt,
     OPERATION(list_runners)},
    {Method::get, "/v1/runners/{name}", Scope::runners_read, Body::none, Pace::prompt,
     OPERATION(get_runner)},
    {Method::get, "/v1/runners/{name}/versions/{version}", Scope::runners_read, Body::none,
     Pace::prompt, OPERATION(get_runner_version)},
    {Method::del, "/v1/runners/{name}/versions/{version}", Scope::runners_write, Body::none,
     Pace::prompt, OPERATION(remove_runner)},
    {Method::get, "/v1/agents/{name}/runner", Scope::agents_read, Body::none, Pace::prompt,
     OPERATION(get_agent_runner)},
    {Method::post, "/v1/agents/{name}/runner", Scope::runners_write, Body::json, Pace::prompt,
     OPERATION(use_agent_runner)},
    {Method::post, "/v1/agents/{name}/runner/back", Scope::runners_write, Body::none, Pace::prompt,
     OPERATION(roll_back_agent_runner)},
    {Method::post, "/v1/environments", Scope::environments_write, Body::json, Pace::prompt,
     OPERATION(build_environment)},
    {Method::post, "/v1/images", Scope::environments_write, Body::stream, Pace::prompt,
     OPERATION(import_environment)},
    {Method::post, "/v1/images/pull", Scope::environments_write, Body::json, Pace::prompt,
     OPERATION(pull_image)},
    {Method::post, "/v1/environments/{ref}/push", Scope::environments_write, Body::json,
     Pace::prompt, OPERATION(push_environment)},
    {Method::get, "/v1/environments/{ref}/export", Scope::environments_read, Body::none,
     Pace::long_poll, OPERATION(export_environment)},
    {Method::get, "/v1/environments", Scope::environments_read, Body::none, Pace::prompt,
     OPERATION(list_environments)},
    {Method::get, "/v1/environments/{ref}", Scope::environments_read, Body::none, Pace::prompt,
     OPERATION(get_environment)},
    {Method::del, "/v1/environments/{ref}", Scope::environments_write, Body::none, Pace::prompt,
     OPERATION(remove_environment)},
    {Method::post, "/v1/environments/{ref}/fork", Scope::environments_write, Body::json,
     Pace::prompt, OPERATION(fork_environment)},
    {Method::post, "/v1/environments/{ref}/tag", Scope::environments_write, Body::json,
     Pace::prompt, OPERATION(tag_environment)},
    {Method::post, "/v1/layers/gc", Scope::environments_write, Body::none, Pace::long_poll,
     OPERATION(sweep_layers)},
    {Method::get, "/v1/environments/{ref}/diff", Scope::environments_read, Body::none,
     Pace::long_poll, OPERATION(diff_environments)},
    {Method::post, "/v1/environments/{ref}/verify", Scope::environments_write, Body::none,
     Pace::follow, OPERATION(verify_environment)},
    {Method::post, "/v1/layers/verify", Scope::environments_write, Body::none, Pace::follow,
     OPERATION(verify_store)},
    {Method::post, "/v1/canaries", Scope::environments_write, Body::json, Pace::prompt,
     OPERATION(add_canary)},
    {Method::get, "/v1/canaries", Scope::environments_read, Body::none, Pace::prompt,
     OPERATION(list_canaries)},
    {Method::del, "/v1/canaries/{name}", Scope::environments_write, Body::none, Pace::prompt,
     OPERATION(remove_canary)},
    {Method::post, "/v1/secrets", Scope::secrets_write, Body::json, Pace::prompt,
     OPERATION(set_secret)},
    {Method::get, "/v1/secrets", Scope::secrets_read, Body::none, Pace::prompt,
     OPERATION(list_secrets)},
    {Method::put, "/v1/secrets/{name}", Scope::secrets_write, Body::json, Pace::prompt,
     OPERATION(rotate_secret)},
    {Method::del, "/v1/secrets/{name}", Scope::secrets_write, Body::none, Pace::prompt,
     OPERATION(remove_secret)},
};
#undef OPERATION

// "application/json", also with parameters behind it.
bool is_json(Exchange& exchange) {
  constexpr std::string_view kJson = "application/json";
  const std::string_view type = exchange.request().headers.get("Content-Type").value_or("");
  if (type.size() < kJson.size() || !http::equal_ignoring_case(type.substr(0, kJson.size()), kJson))
    return false;
  return type.size() == kJson.size() || type[kJson.size()] == ';' || type[kJson.size()] == ' ';
}

Result<> serve(const Row& row, Services& services, Exchange& exchange) {
  if (row.body == Body::json && !is_json(exchange)) {
    const Error error{Errc::invalid, "Content-Type must be application/json"};
    return exchange.reply(error_response(error, kUnsupportedMediaType));
  }
  return row.handler(services, exchange);
}

http::Route make_route(const Row& row, Services& services) {
  http::Route route{
      .method = row.method,
      .path = std::string(row.path),
      .handler = [&row, &services](Exchange& exchange) { return serve(row, services, exchange); }};
  switch (row.body) {
    case Body::none: break;
    case Body::json: route.max_body_bytes = kMaxJsonBodyBytes; break;
    case Body::upload: route.max_body_bytes = kMaxUploadBytes; break;
    case Body::stream:
      route.max_body_bytes = std::numeric_limits<std::uint64_t>::max();
      route.body_timeout = std::chrono::milliseconds(0);  // a person may be typing
      break;
  }
  route.ends_with_peer = row.pace != Pace::prompt;
  if (row.pace == Pace::follow) route.write_timeout = std::chrono::milliseconds(0);
  return route;
}

}  // namespace

std::span<const Row> rows() { return kRows; }

std::vector<http::Route> make_routes(Services& services) {
  std::vector<http::Route> routes;
  for (const Row& row : kRows) routes.push_back(make_route(row, services));
  return routes;
}

}  // namespace tare::api
