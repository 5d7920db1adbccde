// Does an environment have the programs that a runner needs? Looked up as a sandbox would: along
// its PATH, through symlinks, in the layers that it is made of; for `host` among this machine's
// own.
//
// Owner: one request, on its fiber; the layers are merged on a thread of the Offload. Errors:
// Errc::exhausted for an environment of too many files; those of the store. What never happens: a
// file of an environment is opened; a symlink of one is followed outside of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/offload.h"
#include "host/store_link.h"
#include "snapshot/merged_tree.h"

namespace tare::host {

// The first of `names` that is not there; "": all are. `layers`: lowest first; none: `host`.
// `path`: as in the variable PATH.
Result<std::string> missing_program(const std::vector<std::string>& names, std::string_view path,
                                    const std::vector<std::string>& layers, StoreLink& store,
                                    fiber::Offload& offload, const fiber::Context& ctx);

// Is there a program of that name, or of that absolute path? Pure.
bool has_program(const snapshot::SeenTree& tree, std::string_view name, std::string_view path);

}  // namespace tare::host
