// All that no environment, runner or agent's file may have: the vault's secrets and the canaries,
// as tare-store takes them; and the search for them in layers that are there.
//
// A layer is read once for a set of secrets: tare-store remembers it by the set's id, a keyed hash
// (snapshot/needles.h). The key is random and tared's, in state/search.key: who has the store alone
// can try no guess. When it is lost another one is made, and everything is searched again.
//
// Owner: main. Loop thread only. Errors: those of a vault that cannot be opened: nobody can tell
// then what is in anything; Errc::conflict naming the file and the secret. What never happens: a
// value in a log, an answer or a message.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "fiber/context.h"
#include "host/canaries.h"
#include "host/store_link.h"
#include "model/image_config.h"
#include "sys/fd.h"

namespace tare::host {

class Secrets;

class KnownSecrets {
 public:
  // `state`: $TARE_HOME/state.
  static Result<KnownSecrets> open(int state, const Canaries& canaries, Secrets& vault,
                                   Random& random);
  // In a sealed file, empty for none. Its pages can be swapped out, as long as it is open.
  Result<sys::UniqueFd> file() const;

 private:
  KnownSecrets(const Canaries& canaries, Secrets& vault, Secret key)
      : canaries_(canaries), vault_(vault), key_(std::move(key)) {}

  const Canaries& canaries_;
  Secrets& vault_;
  Secret key_;
};

enum class Search : std::uint8_t { once, anew };
// Refuses layers that have a known secret, also where one hides it, and what is said of programs.
Result<> refuse_secrets(const KnownSecrets& secrets, StoreLink& store,
                        std::vector<std::string> layers, const model::ImageConfig& config,
                        const fiber::Context& ctx, Search search = Search::once,
                        const StoreLink::OnProgress& on_progress = nullptr);
// The same of one layer, or of what is said of programs alone (`digest` empty), read anew: where
// which secret is, in words; "" for none.
Result<std::string> find_secret(const KnownSecrets& secrets, StoreLink& store,
                                const std::string& digest, const model::ImageConfig& config,
                                const fiber::Context& ctx,
                                const StoreLink::OnProgress& on_progress);

}  // namespace tare::host
