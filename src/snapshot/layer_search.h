// What an environment says of its programs, searched for secrets; its layers: LayerStore::search.
//
// Pure. Errors: Errc::conflict naming the place and the secret's name, never its value.
#pragma once

#include "base/result.h"
#include "model/image_config.h"
#include "snapshot/needles.h"

namespace tare::snapshot {

Result<> refuse_secrets_in(const model::ImageConfig& config, const NeedleCheck& check);

}  // namespace tare::snapshot
