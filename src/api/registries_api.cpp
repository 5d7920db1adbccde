// /v1/images/pull and /v1/environments/{ref}/push: images of registries. The credentials of a
// request go to the run that does it, and are not in any answer, record or log.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/decode.h"
#include "base/ids.h"
#include "base/limits.h"
#include "model/run_json.h"

namespace tare::api {

namespace {

constexpr std::size_t kMaxUserBytes = 1024;
constexpr std::size_t kMaxPasswordBytes = std::size_t{16} << 10;
// A few certificates. With the rest of the line it must be less than tare-registry reads as one.
constexpr std::size_t kMaxAuthorityBytes = std::size_t{32} << 10;

void add_place(Fields& fields, host::RegistryPlace& place) {
  fields.required("image", place.image, parsed(model::parse_image_reference));
  fields.optional("insecure_http", place.insecure_http, boolean());
  fields.optional("user", place.user, text(kMaxUserBytes));
  fields.optional("password", place.password, text(kMaxPasswordBytes));
  fields.optional("authority", place.authority, text(kMaxAuthorityBytes));
}

Result<host::PullRequest> read_pull(const Node& node) {
  host::PullRequest request;
  Fields fields(node);
  add_place(fields, request.from);
  fields.required("name", request.name, text(kMaxNameBytes, 1));
  fields.optional("platform", request.platform, text(snapshot::kMaxPlatformBytes));
  TRY(fields.finish());
  return request;
}

Result<host::RegistryPlace> read_place(const Node& node) {
  host::RegistryPlace place;
  Fields fields(node);
  add_place(fields, place);
  TRY(fields.finish());
  return place;
}

}  // namespace

Result<> pull_image(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const Json body = TRY(read_json(exchange));
  const auto answer = TRY(
      services.environments.pull(TRY(read_pull(Node(body))), services.blobs, exchange.context()));
  return reply_json(exchange, 202,
                    JsonObject{{"build", model::to_json(answer.build)}, {"ref", answer.ref}});
}

Result<> push_environment(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  const Json body = TRY(read_json(exchange));
  const auto run = TRY(services.environments.push(
      exchange.parameter("ref"), TRY(read_place(Node(body))), services.blobs, exchange.context()));
  return reply_json(exchange, 202, JsonObject{{"push", model::to_json(run)}});
}

}  // namespace tare::api
