// LayerStore: the folder $TARE_HOME/store on disk: layers/<hex>/{root/,manifest} and
// staging/<name>/.
//
//   staging/<name>/root       filled by a job; nothing outside staging/ names it
//   staging/<name>/manifest   computed from what is on disk; its SHA-256 is <hex>
//   staging/<name>/searched   when it was searched for secrets: for which (layer_mark.h)
//   fsync or syncfs           both are durable (tree_sync.h)
//   rename -> layers/<hex>    atomic: a layer is there whole, or not at all. When it was there it
//   is
//                             read first, and exchanged for the new one if it is damaged
//   fsync of layers/ and staging/, also when the layer was there already
//
// Owner: the service makes one; jobs use it in their own process. What never happens: a name in
// layers/ whose content is incomplete, also after SIGKILL or power loss; anything here reachable by
// another user (store/ is root's, 0700). Errors name the layer. Threads: one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/manifest.h"
#include "snapshot/protocol.h"
#include "snapshot/tree_manifest.h"
#include "sys/fd.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 30;

// What a tree must be like to become a layer.
struct Conditions {
  const NeedleCheck* secrets = nullptr;    // that must not be in it
  const Sha256Digest* expected = nullptr;  // of its manifest
  // Files that are links to those of a layer that is there.
  const KnownContents* known = nullptr;
};

class LayerStore {
 public:
  // Makes what is missing below the home. `user` is tare: owner of runs/.
  static Result<LayerStore> open(int home, uid_t user_uid, gid_t user_gid);

  // Exclusive for as long as any process has the descriptor, children included; unavailable after
  // `wait_ms`.
  Result<> lock(std::uint64_t wait_ms);
  int lock_fd() const { return lock_.get(); }  // for a child that closes all else
  // Removes everything in staging/. Only with the lock just taken: then no job is left.
  Result<std::size_t> sweep() const;

  // A new folder staging/<name>; `name` is a fresh random one of the caller's.
  Result<sys::UniqueFd> stage(const std::string& name) const;
  Result<> discard(const std::string& name) const;  // fine when absent
  // Manifest of staging/<name>/root, then the steps above.
  Result<Imported> publish(const std::string& name, const OnProgress& progress,
                           const Conditions& conditions = {}) const;
  // The same for staging/<name>/<part>/root, one of several layers.
  Result<Imported> publish_part(const std::string& name, const std::string& part,
                                const OnProgress& progress,
                                const Conditions& conditions = {}) const;

  // Refuses a layer that has one of these secrets, naming the file. One that was searched for the
  // same set before is not read, unless `anew`. A damaged one is refused (Errc::conflict): nobody
  // could say of its digest what is in it. (layer_search.cpp)
  Result<> search(const std::string& digest, const NeedleCheck& check, bool anew,
                  const OnProgress& progress) const;

  // Its tree, to read.
  Result<sys::UniqueFd> root_of(const std::string& digest) const;
  // Was it searched for this set of secrets (layer_mark.h)?
  bool is_searched(const std::string& digest, const Sha256Digest& set) const;
  Result<LayerInfo> stat(const std::string& digest) const;
  // One whose manifest is damaged is in it with no entries and bytes: verify() says what it has.
  // What has a layer's name and not its form (no root/, no manifest) is none, but a stray.
  Result<LayerPage> list(const std::string& after) const;
  // Names in store/, layers/ and staging/ that no program of ours makes, in order. Nobody removes
  // them but people (and the sweep, what is in staging/).
  Result<Strays> strays() const;
  // Computes the digest again, and names the first entry that differs. What is in `known` is not
  // read: its files there have just been compared.
  Result<Verified> verify(const std::string& digest, const OnProgress& progress,
                          const KnownContents* known = nullptr) const;
  // Its manifest, read-only. Nobody but root could open it again.
  Result<sys::UniqueFd> open_manifest(const std::string& digest) const;
  // A sealed copy of one of its regular files. Errors: not_found also for what is not a regular
  // file or lies behind a link; exhausted above kMaxOpenedFileBytes.
  Result<sys::UniqueFd> copy_file(const std::string& digest, const std::string& path) const;
  // Gone from layers/ at once, then deleted through staging/<name>.
  Result<> remove(const std::string& digest, const std::string& name) const;

  int staging() const { return staging_.get(); }
  int runs() const { return runs_.get(); }
  uid_t user_uid() const { return user_uid_; }
  gid_t user_gid() const { return user_gid_; }

 private:
  LayerStore() = default;
  Result<sys::UniqueFd> open_layer(const std::string& digest) const;
  Result<bool> is_stray_in_layers(const std::string& name) const;
  // To be called when it is there. What it says of a damaged one is kept in staging/ until the next
  // start: runs may stand on it.
  Result<bool> is_sound(const std::string& digest, const OnProgress& progress,
                        const KnownContents* known) const;
  Result<> put_in_place(int folder, const std::string& name, const std::string& hex,
                        bool damaged_there) const;
  Result<Imported> publish_in(int folder, const std::string& name, const OnProgress& progress,
                              const Conditions& conditions) const;

  sys::UniqueFd store_, layers_, staging_, runs_, lock_;
  uid_t user_uid_ = 0;
  gid_t user_gid_ = 0;
};

}  // namespace tare::snapshot
