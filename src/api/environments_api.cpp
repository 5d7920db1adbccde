// /v1/environments: building, listing, getting, naming, sweeping.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/decode.h"
#include "base/ids.h"
#include "base/limits.h"
#include "host/debian_build.h"
#include "host/layer_sweep.h"
#include "http/url.h"
#include "model/environment.h"
#include "model/limits_json.h"
#include "model/run_json.h"

namespace tare::api {

namespace {

Result<host::BuildFromRequest> read_build_from(const Node& node) {
  host::BuildFromRequest build;
  build.limits = host::kBuildLimits;
  Fields fields(node);
  fields.required("from", build.from, text(kMaxEnvironmentTextBytes, 1));
  fields.required("name", build.name, text(kMaxNameBytes, 1));
  fields.required("argv", build.argv, list_of(text(kMaxArgBytes), kMaxArgs, 1));
  fields.optional("env", build.env, list_of(text(kMaxEnvBytes), kMaxEnv));
  fields.optional("limits", build.limits, [](const Node& limits) {
    return model::read_limits_over(limits, host::kBuildLimits);
  });
  fields.optional("network", build.network, boolean());
  fields.optional("rebuild", build.rebuild, boolean());
  TRY(fields.finish());
  return build;
}

Result<host::BuildRequest> read_build(const Node& node) {
  host::BuildRequest build;
  Fields fields(node);
  fields.required("source", build.source, text(kMaxEnvironmentTextBytes, 1));
  fields.optional("name", build.name, text(kMaxNameBytes, 1));
  fields.optional("rebuild", build.rebuild, boolean());
  TRY(fields.finish());
  if (!build.name.empty()) TRY(check_name("name", build.name));
  return build;
}

}  // namespace

Result<> build_environment(Services& services, Exchange& exchange) {
  const Json body = TRY(read_json(exchange));
  const bool by_commands = body.is_object() && body.as_object().contains("from");
  const auto answer = TRY(by_commands
                              ? services.environments.build_from(TRY(read_build_from(Node(body))))
                              : services.environments.build(TRY(read_build(Node(body)))));
  if (answer.ready) return reply_json(exchange, 200, model::to_json(*answer.ready));
  return reply_json(exchange, 202,
                    JsonObject{{"build", model::to_json(answer.build)}, {"ref", answer.ref}});
}

Result<> list_environments(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"source"}));
  JsonArray list;
  for (const auto& one :
       TRY(services.environments.list(text_or_empty(exchange.query(), "source")))) {
    list.push_back(model::to_json(one));
  }
  return reply_json(exchange, 200, JsonObject{{"environments", std::move(list)}});
}

Result<> get_environment(Services& services, Exchange& exchange) {
  return reply_json(exchange, 200,
                    model::to_json(TRY(services.environments.find(exchange.parameter("ref")))));
}

Result<> fork_environment(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const std::string name = TRY(read_name_alone(exchange));
  return reply_json(
      exchange, 201,
      model::to_json(TRY(services.environments.fork(exchange.parameter("ref"), name))),
      {{"Location", "/v1/environments/" + http::percent_encode(name)}});
}

Result<> sweep_layers(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"dry_run"}));
  const bool dry_run = TRY(flag(exchange.query(), "dry_run", false));
  const auto swept = TRY(host::sweep_layers(host::layer_sweep(services.deps, services.runs),
                                            dry_run, exchange.context()));
  JsonArray removed;
  std::uint64_t bytes = 0;
  for (const snapshot::LayerInfo& layer : swept.removed) {
    bytes += layer.bytes;
    removed.push_back(
        JsonObject{{"digest", layer.digest}, {"entries", layer.entries}, {"bytes", layer.bytes}});
  }
  return reply_json(exchange, 200,
                    JsonObject{{"dry_run", dry_run},
                               {"removed", std::move(removed)},
                               {"bytes", bytes},
                               {"kept", swept.kept}});
}

Result<> tag_environment(Services& services, Exchange& exchange) {
  const std::string name = TRY(read_name_alone(exchange));
  return reply_json(
      exchange, 200,
      model::to_json(TRY(services.environments.tag(exchange.parameter("ref"), name))));
}

Result<> remove_environment(Services& services, Exchange& exchange) {
  TRY(services.environments.remove(exchange.parameter("ref"), exchange.context()));
  return exchange.reply({.status = 204});
}

}  // namespace tare::api
