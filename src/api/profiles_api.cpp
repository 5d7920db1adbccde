// /v1/profiles.
#include "api/answers.h"
#include "api/handlers.h"
#include "host/profiles.h"

namespace tare::api {

namespace {

JsonArray words(const std::vector<std::string_view>& list) {
  JsonArray out;
  for (const std::string_view word : list) out.push_back(Json(word));
  return out;
}

}  // namespace

Result<> list_profiles(Services&, Exchange& exchange) {
  JsonArray profiles;
  for (const host::ProfileDescription& profile : host::describe_profiles()) {
    profiles.push_back(JsonObject{{"name", profile.name},
                                  {"summary", profile.summary},
                                  {"capabilities", words(profile.capabilities)},
                                  {"sockets", words(profile.sockets)},
                                  {"allowed", words(profile.allowed)},
                                  {"conditional", words(profile.conditional)},
                                  {"refused", words(profile.refused)},
                                  {"ignored", words(profile.ignored)}});
  }
  return reply_json(exchange, 200, JsonObject{{"profiles", std::move(profiles)}});
}

}  // namespace tare::api
