// What an empty sandbox is made from, before it is known for which run: the part of a launch that
// can be done ahead of time. Sandboxes of one key() are interchangeable until they are claimed.
//
// Plain values, and their encoding within messages (base/wire.h); what is read is hostile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/wire.h"
#include "model/limits.h"
#include "model/sandbox_spec.h"

namespace tare::sandbox {

struct SandboxBase {
  std::string plan;  // digest of the base plan, which travels beside it
  bool host_root = false;
  // /output is a folder of the overlay like any other, and not a place of its own beside it: what
  // hibernates keeps it.
  bool output_in_root = false;
  std::vector<std::string> layers;  // digests, lowest first
  model::Network network = model::Network::none;
  model::Limits limits;
  std::string runner = {};  // digest of the layer shown at model::kRunnerPath, "" for none

  // Of all that it is mounted from.
  std::vector<std::string> digests() const;
};

// Everything about a sandbox that cannot be changed when it is claimed. Limits can be, but for the
// size of a scratch space that is not in memory.
std::string key_of(const SandboxBase& base);

// Of layers, at most kMaxLayers.
void put_digests(WireWriter& out, const std::vector<std::string>& digests, std::string_view field);
Result<std::vector<std::string>> take_digests(WireReader& in, std::string_view field);

void put_base(WireWriter& out, const SandboxBase& base);
Result<SandboxBase> take_base(WireReader& in);

}  // namespace tare::sandbox
