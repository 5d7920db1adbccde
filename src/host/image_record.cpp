#include "host/image_record.h"

namespace tare::host {

namespace {

using model::EnvironmentState;

// The one of exactly that name, if it is ready.
Result<std::optional<model::Environment>> ready_one(runs::Store& store,
                                                    const model::Environment& image) {
  auto found = store.get_environment(image.tenant, image.name);
  if (!found && found.error().code != Errc::not_found) return std::move(found).error();
  if (!found || found->name != image.name || found->state != EnvironmentState::ready) {
    return std::optional<model::Environment>();
  }
  return std::optional(std::move(*found));
}

}  // namespace

Result<> record_build(runs::Store& store, model::Environment image, const std::string& run_id) {
  if (auto ready = TRY(ready_one(store, image)); ready && ready->source == image.source) {
    image = std::move(*ready);
  } else {
    image.state = EnvironmentState::building;
  }
  image.build = run_id;
  return store.put_environment(image);
}

Result<> record_image(runs::Store& store, model::Environment image, const model::Run& run,
                      const snapshot::LayerInfo& layer) {
  const bool good = run.state == model::RunState::succeeded && !layer.digest.empty();
  if (!good && TRY(ready_one(store, image))) return ok();  // the image before stays
  image.state = good ? EnvironmentState::ready : EnvironmentState::failed;
  image.build = run.id;
  image.created_ms = run.ended_ms;
  if (good) {
    image.digest = layer.digest;
    image.layers = {layer.digest};
    image.size_bytes = layer.bytes;
    image.files = layer.entries;
  }
  return store.put_environment(image);
}

Result<Builds> builds_under_way(runs::Store& store, std::string_view tenant) {
  Builds builds;
  for (model::Environment& one : TRY(store.list_environments(tenant))) {
    if (one.build.empty()) continue;
    auto run = store.get_run(tenant, one.build);
    if (run && !model::is_terminal(run->state)) {
      builds.emplace(one.build, one);
    } else if (one.state == EnvironmentState::building) {
      one.state = EnvironmentState::failed;
      TRY(store.put_environment(one));
    }
  }
  return builds;
}

}  // namespace tare::host
