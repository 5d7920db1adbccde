// The mark of a layer that was searched for secrets and has none: the file `searched` beside its
// root and its manifest. It goes where the layer goes, and there is one: of the last set.
//
// A mark is a keyed hash of the set's id and the layer's digest (needles.h): it tells nothing of a
// secret, counts for no other layer, and nothing that a crash leaves of one passes for it. So it is
// written in place and not waited for. Owner: the store's jobs. Errors: none that matter: without a
// mark the layer is searched again. Threads: one.
#pragma once

#include <string>
#include <string_view>

#include "base/hash.h"

namespace tare::snapshot {

inline constexpr const char* kMarkFile = "searched";
inline constexpr std::size_t kMarkBytes = 65;  // hexadecimal, and a newline

// `layer`: its folder. `set`: zeros for none, which no layer is marked with.
bool is_marked(int layer, const std::string& digest, const Sha256Digest& set);
void mark(int layer, const std::string& digest, const Sha256Digest& set);

}  // namespace tare::snapshot
