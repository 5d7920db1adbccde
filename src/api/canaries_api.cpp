// /v1/canaries: secrets that no environment may have. Values come in and never go out.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/base64.h"
#include "base/decode.h"
#include "base/limits.h"
#include "host/canaries.h"

namespace tare::api {

namespace {

constexpr std::size_t kMaxEncodedBytes = (snapshot::kMaxNeedleBytes + 2) / 3 * 4;

Json to_json(const host::CanaryInfo& canary) {
  return JsonObject{
      {"name", canary.name}, {"bytes", canary.bytes}, {"created_ms", canary.created_ms}};
}

}  // namespace

Result<> add_canary(Services& services, Exchange& exchange) {
  const Json body = TRY(read_json(exchange));
  std::string name, encoded;
  const Node node(body);
  Fields fields(node);
  fields.required("name", name, text(kMaxNameBytes, 1));
  fields.required("value_base64", encoded, text(kMaxEncodedBytes, 1));
  TRY(fields.finish());
  const auto value = base64_decode(encoded);
  if (!value) return field_error("value_base64", "it is not base64");
  return reply_json(exchange, 201,
                    to_json(TRY(services.canaries.add(name, *value, services.deps.clock))));
}

Result<> list_canaries(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  JsonArray list;
  for (const host::CanaryInfo& canary : services.canaries.list()) list.push_back(to_json(canary));
  return reply_json(exchange, 200, JsonObject{{"canaries", std::move(list)}});
}

Result<> remove_canary(Services& services, Exchange& exchange) {
  TRY(services.canaries.remove(exchange.parameter("name")));
  return exchange.reply({.status = 204});
}

}  // namespace tare::api
