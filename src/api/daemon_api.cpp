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

// Left out while the launcher does not answer.
void add_pool(JsonObject& out, host::LauncherLink& launcher, const fiber::Context& ctx) {
  const auto pool = launcher.pool(ctx);
  if (!pool) return;
  out["pool"] = JsonObject{{"idle", pool->idle},       {"making", pool->making},
                           {"hits", pool->hits},       {"misses", pool->misses},
                           {"made", pool->made},       {"failed", pool->failed},
                           {"dropped", pool->dropped}, {"moved", pool->moved}};
}

}  // namespace

Result<> get_health(Services& services, Exchange& exchange) {
  auto& launcher = services.deps.launcher;
  const auto& store = services.deps.store.status();
  const bool ready = launcher.ready() && store.connected && services.runs.recovered();
  const host::PeerStatus own{.connected = true,
                             .pid = static_cast<std::uint32_t>(::getpid()),
                             .version = TARE_VERSION,
                             .detail = {}};
  const JsonArray programs{program("tared", own), program("tare-launcher", launcher.status()),
                           program("tare-store", store)};
  JsonObject health{{"version", TARE_VERSION},
                    {"pid", own.pid},
                    {"ready", ready},
                    {"programs", programs},
                    {"active_runs", services.runs.active()}};
  add_pool(health, launcher, exchange.context());
  return reply_json(exchange, 200, health);
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
