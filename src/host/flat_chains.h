// FlatChains: which layers are mounted for an environment. A long list of layers makes every mount
// and every first look at a file dearer, and overlayfs takes only so many; so the lower part of one
// may stand as a few flat layers that show the same (docs/store_format.md). The environment's own
// layers and digest never change by it.
//
// They are on record by that digest (model::FlatLayers), those of earlier flattening included, and
// stay there for as long as an environment, an agent's version or a run that has not ended has the
// digest (named_layers.h, layer_sweep.h): so nothing is mounted that a sweep could remove, and who
// stands on a digest whose name was given to another, or taken away, stands there as before.
//
// Owner: main. Loop thread only. Errors: none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fiber/event.h"
#include "model/environment.h"
#include "model/run.h"

namespace tare::host {

// More than these, and a flat layer is made of them (docs/performance.md: what a layer costs).
inline constexpr std::size_t kMaxMountedLayers = 8;

// What stands for the environment's layers, lowest first.
std::vector<std::string> mounted_layers(const model::Environment& environment);

class FlatChains {
 public:
  // As it is on record for an environment's digest.
  void learn(const std::string& digest, const model::FlatLayers& flat) { chains_[digest] = flat; }
  // It is on record no more, and its layers go.
  void forget(const std::string& digest) { chains_.erase(digest); }
  // For a run: its environment's, then its agent's own files.
  std::vector<std::string> mounted(const model::RunRequest& request) const;
  // And what is its own.
  std::vector<std::string> mounted(const model::Run& run) const;

  // Somebody has made a longer chain.
  void notice() { grown_.notify_all(); }
  fiber::Event& grown() { return grown_; }

 private:
  std::map<std::string, model::FlatLayers, std::less<>> chains_;  // by the environment's digest
  fiber::Event grown_;
};

}  // namespace tare::host
