// The port of host/services.h: what tared serves over HTTP.
#include "api/auth.h"
#include "api/errors.h"
#include "api/routes.h"

namespace tare::host {

namespace {

constexpr std::chrono::milliseconds kDrainTimeout{2'000};

std::uint16_t port_of(std::string_view address) {
  return static_cast<std::uint16_t>(
      std::stoul(std::string(address.substr(address.rfind(':') + 1))));
}

}  // namespace

std::vector<http::Route> surface_routes(Services& services) { return api::make_routes(services); }

http::ServerOptions surface_options(Services& services) {
  http::ServerOptions options;
  options.on_error = api::error_response;
  options.admit = [port = port_of(services.address), key = services.api_key](
                      http::Exchange& exchange) { return api::admit(exchange, port, key); };
  options.on_done = [&log = services.deps.log](const http::RequestRecord& record) {
    log.debug("request", {{"method", http::to_string(record.request.method)},
                          {"target", record.request.target},
                          {"status", record.status},
                          {"us", record.duration.count()}});
    if (record.status < 500 || record.error == nullptr) return;
    log.error("request failed", *record.error, {{"target", record.request.target}});
  };
  options.drain_timeout = kDrainTimeout;
  return options;
}

}  // namespace tare::host
