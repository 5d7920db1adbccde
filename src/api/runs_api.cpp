// /v1/runs: create, list, get, delete, events, kill, wait.
#include <fmt/format.h>

#include "api/answers.h"
#include "api/handlers.h"
#include "api/run_wish.h"
#include "base/hash.h"
#include "host/launch_parts.h"
#include "model/run_json.h"
#include "sandbox/plan/render.h"

namespace tare::api {

namespace {

constexpr std::uint64_t kDefaultWaitMs = 30'000, kMaxWaitMs = 60'000;
// In a plan that is only shown, instead of an id.
constexpr std::string_view kExampleId = "run_00000000000000000000000000";

Result<Json> plan_json(Services& services, const model::RunRequest& request) {
  model::Run run;
  run.id = kExampleId;
  run.request = request;
  const auto spec = TRY(host::sandbox_spec(run, host::Purpose::run));
  const auto plans = TRY(host::plans_of(spec, services.deps.filters));
  JsonArray list;
  for (const sandbox::Step& step : plans.all()) {
    list.push_back(
        JsonObject{{"op", sandbox::op_name(step.op)}, {"text", sandbox::render_step(step)}});
  }
  return Json(JsonObject{{"plan", sandbox::render(spec, plans)}, {"steps", std::move(list)}});
}

// One run alone is shown with what its program has reported; in lists that would be too much. A
// session that is held with why.
Result<Json> with_report(Services& services, const model::Run& run) {
  Json json = model::to_json(run);
  if (auto held = services.runs.held(run.id); !held.empty())
    json.as_object()["held"] = std::move(held);
  if (run.request.runner.empty()) return json;
  if (auto report = TRY(services.runs.report(run.id))) json.as_object()["report"] = *report;
  return json;
}

}  // namespace

Result<> create_run(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"dry_run"}));
  const bool dry_run = TRY(flag(exchange.query(), "dry_run", false));
  const Json body = TRY(read_json(exchange));
  host::RunWish wish = TRY(read_run_wish(Node(body)));
  host::NewRun wanted;
  wanted.id = wish.run_id = services.runs.new_id();
  auto reading = services.deps.layers.read();  // until the run is among those that live
  wanted.request = TRY(services.admission.admit(wish));
  if (dry_run) return reply_json(exchange, 200, TRY(plan_json(services, wanted.request)));
  if (!wish.idempotency_key.empty()) wanted.request_digest = sha256_text(canonical_text(body));
  const auto created = TRY(services.runs.create(std::move(wanted)));
  reading = {};
  if (created.existed) return reply_json(exchange, 200, model::to_json(created.run));
  return reply_json(exchange, 202, model::to_json(created.run),
                    {{"Location", fmt::format("/v1/runs/{}", created.run.id)}});
}

Result<> list_runs(Services& services, Exchange& exchange) {
  const http::Query& query = exchange.query();
  TRY(query.allow_only({"limit", "cursor", "state", "agent"}));
  runs::RunFilter filter;
  filter.limit = TRY(page_limit(query));
  filter.cursor = text_or_empty(query, "cursor");
  filter.agent = text_or_empty(query, "agent");
  filter.states = TRY(states_of(text_or_empty(query, "state")));
  const auto page = TRY(services.runs.list(filter));
  JsonArray runs;
  for (const model::Run& run : page.runs) runs.push_back(model::to_json(run));
  JsonObject out{{"runs", std::move(runs)}};
  if (!page.next_cursor.empty()) out["next_cursor"] = page.next_cursor;
  return reply_json(exchange, 200, out);
}

Result<> get_run(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  return reply_json(exchange, 200, TRY(with_report(services, TRY(services.runs.get(id)))));
}

Result<> delete_run(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  TRY(services.runs.remove(id, exchange.context()));
  return exchange.reply({.status = 204});
}

Result<> list_run_events(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"after"}));
  const std::string id = TRY(run_id_of(exchange));
  const auto after = TRY(number(exchange.query(), "after", 0, 0, kMaxCount));
  JsonArray events;
  for (const model::RunEvent& event : TRY(services.runs.events(id, after)))
    events.push_back(model::to_json(event));
  return reply_json(exchange, 200, JsonObject{{"events", std::move(events)}});
}

Result<> kill_run(Services& services, Exchange& exchange) {
  const std::string id = TRY(run_id_of(exchange));
  const auto [run, ended] = TRY(
      services.sessions.end(id, host::Sessions::Force::no, exchange.context()));
  return reply_json(exchange, ended ? 200 : 202, model::to_json(run));
}

Result<> wait_run(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"timeout_ms"}));
  const std::string id = TRY(run_id_of(exchange));
  const auto timeout_ms = TRY(
      number(exchange.query(), "timeout_ms", kDefaultWaitMs, 0, kMaxWaitMs));
  const auto ctx = exchange.context().with_timeout(std::chrono::milliseconds(timeout_ms));
  return reply_json(exchange, 200, TRY(with_report(services, TRY(services.runs.wait(id, ctx)))));
}

}  // namespace tare::api
