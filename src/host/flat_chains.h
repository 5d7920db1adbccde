// FlatChains: which layers are mounted for an environment. A long list of layers makes every mount
// and every first look at a file dearer, and overlayfs takes only so many; so the lower part of one
// may stand as a few flat layers that show the same (docs/store_format.md). The environment's own
// layers and digest never change by it.
//
// An environment's record says which flat layers its runs may have mounted, those of earlier
// flattening included, and a record outlives its runs: so nothing is mounted that a sweep could
// remove.
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
  // From a record that has flat layers.
  void learn(const model::Environment& environment);
  // No record has it any more.
  void forget(const std::string& digest) { chains_.erase(digest); }
  // For a run: its environment's, then its agent's own files.
  std::vector<std::string> mounted(const model::RunRequest& request) const;
  // And what is its own.
  std::vector<std::string> mounted(const model::Run& run) const;

  // Somebody has made a longer chain.
  void notice() { grown_.notify_all(); }
  fiber::Event& grown() { return grown_; }

 private:
  struct Chain {
    std::vector<std::string> layers, mounted;
  };
  std::map<std::string, Chain, std::less<>> chains_;  // by the environment's digest
  fiber::Event grown_;
};

}  // namespace tare::host
