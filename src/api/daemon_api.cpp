// /v1/health and /v1/info.
#include <unistd.h>

#include "api/answers.h"
#include "api/handlers.h"
#include "model/limits_json.h"

namespace tare::api {

namespace {

Json program(std::string_view name, const host::PeerStatus& status) {
  JsonObject out{{"name", name},
                 {"version", status.version},
                 {"pid", status.pid},
                 {"connected", status.connected}};
  if (!status.connected)
    out["detail"] = status.detail.empty() ? "not connected yet" : status.detail;
  return out;
}

}  // namespace

Result<> get_health(Services& services, Exchange& exchange) {
  const auto& launcher = services.deps.launcher;
  const auto& store = services.deps.store.status();
  const bool ready = launcher.ready() && store.connected && services.runs.recovered();
  const host::PeerStatus own{.connected = true,
                             .pid = static_cast<std::uint32_t>(::getpid()),
                             .version = TARE_VERSION,
                             .detail = {}};
  const JsonArray programs{program("tared", own), program("tare-launcher", launcher.status()),
                           program("tare-store", store)};
  return reply_json(exchange, 200,
                    JsonObject{{"version", TARE_VERSION},
                               {"pid", own.pid},
                               {"ready", ready},
                               {"programs", programs},
                               {"active_runs", services.runs.active()}});
}

Result<> get_info(Services& services, Exchange& exchange) {
  return reply_json(exchange, 200,
                    JsonObject{{"version", TARE_VERSION},
                               {"home", services.deps.config.home},
                               {"address", services.address},
                               {"kernel", services.kernel},
                               {"default_limits", model::to_json(model::Limits{})}});
}

}  // namespace tare::api
