// /v1/sessions: runs that have no program of their own (model/run.h). A session's id is its run's:
// everything under /v1/runs/{id} works with it.
#include <fmt/format.h>

#include "api/answers.h"
#include "api/handlers.h"
#include "api/run_wish.h"
#include "base/decode.h"
#include "base/hash.h"
#include "http/url.h"
#include "model/environment.h"
#include "model/run_json.h"
#include "model/runner.h"

namespace tare::api {

namespace {

Result<model::Run> session_of(Services& services, const std::string& id) {
  model::Run run = TRY(services.runs.get(id));
  if (!run.request.session)
    return Error{
        Errc::not_found,
        fmt::format(
            "{} is a run, not a session: `tare session list` shows sessions, `tare ps` runs; "
            "`tare kill` ends a run",
            id)};
  return run;
}

// With why it is held, if it is.
Json session_json(Services& services, const model::Run& run) {
  Json json = model::to_json(run);
  if (auto held = services.runs.held(run.id); !held.empty())
    json.as_object()["held"] = std::move(held);
  return json;
}

Result<> refuse_for_sessions(const host::RunWish& wish) {
  if (!wish.argv.empty())
    return field_error("argv",
                       "a session has none: start programs in it with POST "
                       "/v1/runs/{id}/execs");
  if (wish.with_stdin) return field_error("stdin", "a session has none; its execs have");
  if (wish.attach) return field_error("attach", "a session has no output; its execs have");
  return ok();
}

}  // namespace

Result<> create_session(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const Json body = TRY(read_json(exchange));
  host::RunWish wish = TRY(read_run_wish(Node(body)));
  TRY(refuse_for_sessions(wish));
  if (wish.on_idle != model::OnIdle::hibernate && wish.idle_timeout_ms == 0)
    return field_error("on_idle", "needs idle_timeout_ms");
  wish.session = true;
  host::NewRun wanted;
  wanted.id = wish.run_id = services.runs.new_id();
  auto reading = services.deps.layers.read();  // until the run is among those that live
  wanted.request = TRY(services.admission.admit(wish));
  // A run of the same key is another thing.
  if (!wish.idempotency_key.empty())
    wanted.request_digest = sha256_text("session " + canonical_text(body));
  const auto created = TRY(services.runs.create(std::move(wanted)));
  reading = {};
  return reply_json(exchange, created.existed ? 200 : 202, model::to_json(created.run),
                    {{"Location", fmt::format("/v1/sessions/{}", created.run.id)}});
}

Result<> list_sessions(Services& services, Exchange& exchange) {
  const http::Query& query = exchange.query();
  TRY(query.allow_only({"limit", "cursor", "state"}));
  runs::RunFilter filter;
  filter.sessions_only = true;
  filter.limit = TRY(page_limit(query));
  filter.cursor = text_or_empty(query, "cursor");
  filter.states = TRY(states_of(text_or_empty(query, "state")));
  const auto page = TRY(services.runs.list(filter));
  JsonArray sessions;
  for (const model::Run& run : page.runs) sessions.push_back(session_json(services, run));
  JsonObject out{{"sessions", std::move(sessions)}};
  if (!page.next_cursor.empty()) out["next_cursor"] = page.next_cursor;
  return reply_json(exchange, 200, out);
}

Result<> get_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  Json json = session_json(services, TRY(session_of(services, id)));
  if (const auto runner = TRY(services.runs.session_runner(id))) {
    json.as_object()["runner"] = runner->reference;
    json.as_object()["runner_digest"] = runner->digest;
  }
  return reply_json(exchange, 200, json);
}

Result<> hibernate_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({}));
  TRY(session_of(services, id));
  return reply_json(exchange, 200,
                    model::to_json(TRY(services.sessions.hibernate(id, "", exchange.context()))));
}

Result<> checkpoint_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({}));
  TRY(session_of(services, id));
  return reply_json(exchange, 200,
                    model::to_json(TRY(services.checkpoints.make(id, exchange.context()))));
}

Result<> wake_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({}));
  TRY(session_of(services, id));
  return reply_json(exchange, 200,
                    model::to_json(TRY(services.sessions.wake(id, exchange.context()))));
}

Result<> fork_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({}));
  const Json body = TRY(read_json(exchange));
  std::uint32_t count = 1;
  Fields fields{Node(body)};
  fields.optional("count", count, integer<std::uint32_t>(1, host::kMaxForks));
  TRY(fields.finish());
  TRY(session_of(services, id));
  JsonArray sessions;
  for (const model::Run& run : TRY(services.sessions.fork(id, count, exchange.context())))
    sessions.push_back(model::to_json(run));
  return reply_json(exchange, 201, JsonObject{{"sessions", std::move(sessions)}});
}

Result<> freeze_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({}));
  const std::string name = TRY(read_name_alone(exchange));
  TRY(session_of(services, id));
  const auto frozen = TRY(services.environments.freeze(id, name, exchange.context()));
  return reply_json(exchange, 201, model::to_json(frozen),
                    {{"Location", "/v1/environments/" + http::percent_encode(name)}});
}

Result<> swap_session_runner(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({}));
  const Json body = TRY(read_json(exchange));
  const Node node(body);
  std::string wanted;
  Fields fields(node);
  fields.optional("runner", wanted, text(model::kMaxRunnerTextBytes, 1));
  TRY(fields.finish());
  TRY(session_of(services, id));
  return reply_json(exchange, 200, model::to_json(TRY(services.runner_swap.swap(id, wanted))));
}

Result<> end_session(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(exchange.query().allow_only({"force"}));
  const bool force = TRY(flag(exchange.query(), "force", false));
  TRY(session_of(services, id));
  using Force = host::Sessions::Force;
  const auto [run, ended] = TRY(
      services.sessions.end(id, force ? Force::yes : Force::no, exchange.context()));
  return reply_json(exchange, ended ? 200 : 202, model::to_json(run));
}

}  // namespace tare::api
