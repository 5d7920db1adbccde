// The record of an environment while it is built, kept true in the same transactions as its run's.
// Runs on the store's thread. A rebuild leaves the environment ready as it was until the new image
// is there.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "host/spec.h"
#include "model/environment.h"
#include "model/run.h"
#include "runs/store.h"
#include "snapshot/protocol.h"

namespace tare::host {

// Of the run that builds it.
Purpose purpose_of(const model::Run& run, const model::Environment& image);

// What the store has made of an archive: layers, configuration, digest and size.
void set_image(model::Environment& environment, const snapshot::ImageImported& imported);

// The build has begun.
Result<> record_build(runs::Store& store, model::Environment image, const std::string& run_id);
// The build has ended. `layer`: what the store made of it; its digest is empty if it made nothing.
// `whole`: of an image, all of them and more.
Result<> record_image(runs::Store& store, model::Environment image, const model::Run& run,
                      const snapshot::LayerInfo& layer,
                      const std::optional<snapshot::ImageImported>& whole = std::nullopt);

// Builds by the id of their run.
using Builds = std::map<std::string, model::Environment, std::less<>>;
// At start: those that an earlier tared left; an environment whose build has ended without a result
// is marked failed.
Result<Builds> builds_under_way(runs::Store& store, std::string_view tenant);

}  // namespace tare::host
