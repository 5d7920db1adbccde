// StoreLink: requests to tare-store from fibers. Each takes a kept connection or makes one; a
// connection that broke while it lay idle is replaced. watch() keeps one open, so that health knows
// whether the store is up. A store of another release is refused. A few archives are unpacked at
// once: who sends one more waits, a while.
//
// Owner: main. Loop thread only. Errors: the store's own; Errc::unavailable when it is not up.
// Giving up a call (its Context ends) closes its connection, which cancels the request in the
// store.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/event.h"
#include "fiber/offload.h"
#include "host/launcher_link.h"
#include "snapshot/client.h"

namespace tare::host {

class StoreLink {
 public:
  // Each may take 512 MiB of memory and minutes of a processor (snapshot/unpacker.cpp); what all of
  // them take on the disk has one bound (snapshot/import_budget.h).
  static constexpr std::size_t kMaxUnpacking = 8;
  static constexpr std::chrono::minutes kUnpackPatience{5};

  using OnProgress = std::function<void(const snapshot::Progress&)>;

  StoreLink(std::string socket_path, fiber::Offload& offload)
      : path_(std::move(socket_path)), offload_(offload) {}

  // Keeps a connection for status(), until ctx ends.
  void watch(const fiber::Context& ctx);

  // The closing reply; a refusal of the store is an Error.
  Result<snapshot::Reply> call(const snapshot::Request& request, std::span<const int> fds,
                               const fiber::Context& ctx, const OnProgress& on_progress = nullptr);
  // The same for what the store alone reads or writes from then on: our end of `given` is closed
  // when the store has it. `beside`: what comes behind it; -1 for nothing.
  Result<snapshot::Reply> call_giving(const snapshot::Request& request, sys::UniqueFd given,
                                      int beside, const fiber::Context& ctx);
  // For OpenManifest and OpenFile: what came beside the reply.
  Result<sys::UniqueFd> open(const snapshot::Request& request, const fiber::Context& ctx);
  // The whole exchange of ImportFiles; descriptors are borrowed.
  Result<snapshot::Imported> import_files(snapshot::FilesOf of,
                                          std::span<const snapshot::FileItem> files,
                                          std::span<const int> fds, int secrets,
                                          const fiber::Context& ctx);

  const PeerStatus& status() const { return status_; }

 private:
  Result<snapshot::StoreClient> connect(const fiber::Context& ctx);
  Result<snapshot::StoreClient> take(const fiber::Context& ctx);
  // Held while an archive is unpacked; nothing for any other request.
  using Slot = std::shared_ptr<void>;
  Result<Slot> slot_for(const snapshot::Request& request, const fiber::Context& ctx);
  void give_back(snapshot::StoreClient client);
  Result<snapshot::Reply> finish(snapshot::StoreClient& client, const fiber::Context& ctx,
                                 const OnProgress& on_progress);

  std::string path_;
  fiber::Offload& offload_;
  std::vector<snapshot::StoreClient> idle_;
  std::string refused_version_;  // of the last greeting, for status_
  PeerStatus status_;
  std::size_t unpacking_ = 0;
  fiber::Event unpacked_;
};

}  // namespace tare::host
