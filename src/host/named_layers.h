// Which layers are named, and by whom: the one list that a sweep keeps (layer_sweep.h) and that
// verification reads (store_verify.h).
//
//   environment   its layers
//   agent         of every version: its own files, and the environment it was made for
//   runner        its files
//   session, run  that has not ended, also one that hibernates: what it has changed, what it stands
//                 on, its runner and the one it is just being given
//
// Who names an environment's digest names what is mounted for it, and what was before
// (model::FlatLayers), whatever has become of the name.
//
// Values and functions. Loop thread only. Errors: those of the database. What never happens: a
// layer is left out because a record could not be read.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "host/run_service.h"

namespace tare::host {

struct Owner {
  // In the order of what can be made again.
  enum class Kind : std::uint8_t { environment, runner, agent, session, run };
  Kind kind = Kind::environment;
  std::string name;  // "py", "hello@1.0", "worker@3", "run_..."

  std::string text() const;  // "runner hello@1.0"
  friend auto operator<=>(const Owner&, const Owner&) = default;
};

// By the layer's digest. Each has an owner: what runs and agents only stand on is theirs where
// nobody else names it.
using NamedLayers = std::map<std::string, std::set<Owner>, std::less<>>;

// Of what is on record.
Result<NamedLayers> recorded_layers(runs::Store& store, const runs::FlatByDigest& flat);
// Adds those of a run or session that has not ended.
void add_layers_of(const LiveRun& live, const runs::FlatByDigest& flat, NamedLayers& named);
// All.
Result<NamedLayers> named_layers(const RunDeps& deps, const RunService& runs);

// Of digests that nobody names any more, and nobody can come upon: by a sweep, before their layers
// go.
Result<> forget_flat_layers(const RunDeps& deps, const RunService& runs);

// How people get such a layer again, when it is damaged or missing and there is no backup.
std::string how_to_make_again(const Owner& owner);

}  // namespace tare::host
