// Verifying all that is kept: every layer in the store and every layer that anything names
// (named_layers.h), every upload, each environment's list of layers; and what lies there beside.
//
//   damaged   what is on disk is not what its digest says, named or not
//   missing   named, and not there
//   stray     a name in store/ or blobs/ that no Tare makes: told, and never removed
//   unused    a whole layer that nobody names: told; `tare env gc` removes it. Not a fault
//
// Runs, builds and sweeps go on meanwhile: what has gone since and is not named any more is passed
// over. A layer that is just being made may be told as unused.
//
// Owner: one request, on its fiber. Loop thread only. Errors: those of the store, the database and
// the watcher. Damage is a finding, not an error. Nothing is changed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/environment_verify.h"
#include "host/named_layers.h"
#include "model/environment.h"
#include "runs/blobs.h"
#include "snapshot/protocol.h"

namespace tare::host {

// What is verified with; of the daemon's own: store_audit().
struct StoreAudit {
  std::function<Result<std::vector<model::Environment>>()> environments;
  std::function<Result<NamedLayers>()> named;
  std::function<Result<std::vector<snapshot::LayerInfo>>(const fiber::Context&)> layers;
  // Errc::not_found: it is not there.
  std::function<Result<snapshot::Verified>(const std::string& digest, const fiber::Context&)>
      verify;
  // Where which secret is, as find_secret(); empty when that is not asked.
  std::function<Result<std::string>(const std::string& digest, const model::ImageConfig&,
                                    const fiber::Context&)>
      find_secret = nullptr;
  std::function<Result<snapshot::Strays>(const fiber::Context&)> strays;
  // As fault_of_flat().
  std::function<Result<std::string>(const model::Environment&, const fiber::Context&)>
      fault_of_flat = nullptr;
  // Uploads: those that are there, by whom they are needed, and whether one is whole (as `verify`).
  std::function<Result<runs::BlobNames>(const fiber::Context&)> uploads;
  std::function<NamedLayers()> needed_uploads;
  std::function<Result<>(const std::string& digest, const fiber::Context&)> verify_upload;
};
using OnVerifyProgress = std::function<void(const snapshot::Progress&)>;
// `secrets`: also look for those that are known.
StoreAudit store_audit(const RunDeps& deps, const RunService& runs, bool secrets,
                       const OnVerifyProgress& on_progress);

enum class Audited : std::uint8_t { environment, layer, upload };
std::string_view to_string(Audited kind);

struct Verdict {
  Audited kind = Audited::layer;
  std::string digest = {};
  std::string path = {};                    // below the home; "" of an environment's list
  std::uint64_t entries = 0, bytes = 0;     // 0 where they are not known
  std::vector<std::string> needed_by = {};  // "runner hello@1.0", the first kMaxOwnersTold
  std::uint64_t needers = 0;                // all of them
  bool intact = true;
  std::string difference = {};  // what is wrong, in words; empty when intact
  std::string fix = {};         // and what to do
  std::string secret = {};      // where which one is; empty for none
};

struct Extra {
  bool stray = false;     // else unused
  std::string path = {};  // below the home; bytes
  std::uint64_t entries = 0, bytes = 0;
  std::string fix = {};
};

inline constexpr std::size_t kMaxOwnersTold = 100;

struct AuditWatcher {
  std::function<Result<>(const snapshot::LayerInfo&)> on_begin;  // a layer's turn has come
  std::function<Result<>(const Verdict&)> on_verdict;
  std::function<Result<>(const Extra&)> on_extra;
};

// Intact is all of it when there is no stray, either.
Result<Soundness> verify_store(const StoreAudit& audit, const AuditWatcher& watcher,
                               const fiber::Context& ctx);

}  // namespace tare::host
