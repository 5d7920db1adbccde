// The runs that move an image between a registry and Tare: tare-registry in the sandbox of a build.
// What goes into its stdin (credentials, a layer after the other) is with the tared that began it,
// and nowhere else: such a run cannot go on under another one, and is known by its request.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "model/image_reference.h"
#include "model/run.h"

namespace tare::host {

inline constexpr const char* kRegistryProgram = "tare-registry";

// `program`: the input kRegistryProgram. `platform`: "" for this machine's.
model::RunRequest registry_run(std::string_view verb, const model::ImageReference& image,
                               bool insecure_http, const std::string& platform,
                               model::InputFile program);
// "pull" or "push"; "" of any other run.
std::string registry_verb(const model::RunRequest& request);
// Why such a run that an earlier tared began cannot go on; "" for any other run.
std::string orphaned_by_restart(const model::RunRequest& request);

}  // namespace tare::host
