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

// What a build began with: nothing, or what its commands were run in.
Result<> take_base(runs::Store& store, const model::RunRequest& request,
                   model::Environment& image) {
  image.layers = layers_of(request);
  image.size_bytes = image.files = 0;
  if (image.layers.empty()) return ok();  // it has made all of it
  const auto base = store.get_environment(image.tenant, request.environment_digest);
  if (!base && base.error().code == Errc::not_found) return ok();  // its last name was taken away
  if (!base) return base.error();
  image.size_bytes = base->size_bytes;
  image.files = base->files;
  image.config = base->config;
  return ok();
}

}  // namespace

Purpose purpose_of(const model::Run& run, const model::Environment& image) {
  if (run.request.environment_digest.empty()) return Purpose::build;
  return image.online_build ? Purpose::commands_online : Purpose::commands;
}

void set_image(model::Environment& environment, const snapshot::ImageImported& imported) {
  environment.layers.clear();
  environment.size_bytes = environment.files = 0;
  for (const snapshot::LayerInfo& layer : imported.layers) {
    environment.layers.push_back(layer.digest);
    environment.size_bytes += layer.bytes;
    environment.files += layer.entries;
  }
  environment.config = imported.config;
  environment.digest = model::digest_of_environment(environment.layers, environment.config);
}

Result<> record_build(runs::Store& store, model::Environment image, const std::string& run_id) {
  if (auto ready = TRY(ready_one(store, image)); ready && ready->source == image.source) {
    const bool online = image.online_build;
    image = std::move(*ready);
    image.online_build = online;
  } else {
    image.state = EnvironmentState::building;
  }
  image.build = run_id;
  return store.put_environment(image);
}

Result<> record_image(runs::Store& store, model::Environment image, const model::Run& run,
                      const snapshot::LayerInfo& layer,
                      const std::optional<snapshot::ImageImported>& whole) {
  const bool good = run.state == model::RunState::succeeded && !layer.digest.empty();
  if (!good && TRY(ready_one(store, image))) return ok();  // the image before stays
  image.state = good ? EnvironmentState::ready : EnvironmentState::failed;
  image.build = run.id;
  image.created_ms = run.ended_ms;
  if (good && whole) {
    set_image(image, *whole);
  } else if (good) {
    TRY(take_base(store, run.request, image));
    if (layer.entries > 0 || image.layers.empty()) image.layers.push_back(layer.digest);
    image.layers = model::unrepeated(image.layers);
    image.digest = model::digest_of_environment(image.layers, image.config);
    image.size_bytes += layer.bytes;
    image.files += layer.entries;
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
