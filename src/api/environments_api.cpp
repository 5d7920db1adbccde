// /v1/environments: building, listing, getting.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/decode.h"
#include "base/ids.h"
#include "base/limits.h"
#include "model/environment.h"
#include "model/run_json.h"

namespace tare::api {

namespace {

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
  const auto answer = TRY(services.environments.build(TRY(read_build(Node(body)))));
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

}  // namespace tare::api
