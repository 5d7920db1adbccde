// Environments: from archives and into archives.
#include <fmt/format.h>

#include "base/text.h"
#include "host/environments.h"
#include "host/image_limits.h"
#include "host/image_record.h"
#include "snapshot/client.h"

namespace tare::host {

Result<model::Environment> Environments::import(const ImportRequest& request, sys::UniqueFd archive,
                                                const fiber::Context& ctx) {
  TRY(check_environment_name(request.name));
  if (!request.platform.empty()) TRY(snapshot::parse_platform(request.platform));
  const auto publishing = TRY(deps_.layers.publish(ctx));  // until it is recorded
  const auto free = [&](runs::Store& store) { return refuse_if_taken(store, request.name); };
  TRY(deps_.records.run(free));
  const snapshot::ImportImage wanted{.format = request.format,
                                     .platform = request.platform,
                                     .reference = request.reference,
                                     .limits = kImportLimits,
                                     .timeout_ms = kImportTimeoutMs};
  const sys::UniqueFd secrets = TRY(deps_.secrets.file());
  const auto imported = TRY(snapshot::expect<snapshot::ImageImported>(
      deps_.store.call_giving(wanted, std::move(archive), secrets.get(), ctx)));
  model::Environment environment;
  environment.tenant = kTenant;
  environment.name = request.name;
  environment.source = fmt::format("import:{}", snapshot::to_string(imported.kind));
  environment.created_ms = deps_.clock.wall_ms();
  set_image(environment, imported);
  // Somebody may have taken the name meanwhile.
  TRY(deps_.records.run([&](runs::Store& store) -> Result<> {
    TRY(free(store));
    return store.put_environment(environment);
  }));
  deps_.flat.notice();
  return environment;
}

Result<snapshot::Exported> Environments::write_archive(const model::Environment& environment,
                                                       const ExportRequest& request,
                                                       sys::UniqueFd out,
                                                       const fiber::Context& ctx) {
  if (environment.state != model::EnvironmentState::ready || environment.layers.empty()) {
    return Error{Errc::invalid, no_layers(environment, "export")};
  }
  TRY(refuse_secrets(deps_.secrets, deps_.store, environment.layers, environment.config, ctx));
  const snapshot::ExportImage wanted{.layers = environment.layers,
                                     .format = request.format,
                                     .config = environment.config,
                                     .reference = request.reference,
                                     .timeout_ms = kExportTimeoutMs};
  return snapshot::expect<snapshot::Exported>(
      deps_.store.call_giving(wanted, std::move(out), -1, ctx));
}

}  // namespace tare::host
