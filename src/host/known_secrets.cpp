#include "host/known_secrets.h"

#include <fcntl.h>

#include "host/secrets.h"
#include "snapshot/client.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/memfd.h"

namespace tare::host {

namespace {

constexpr const char* kKeyFile = "search.key";
constexpr std::size_t kKeyBytes = 32;
constexpr std::uint64_t kSearchTimeoutMs = 60 * 60 * 1000;

static_assert(kMaxCanaries + model::kMaxSecrets <= snapshot::kMaxNeedles);

Result<Secret> read_key(int state) {
  Secret key = TRY(Secret::of_size(kKeyBytes));
  const auto file = sys::open_beneath(state, kKeyFile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().sys == ENOENT) return Secret();
  if (!file) return file.error();
  const std::size_t n = TRY(sys::read_at(file->get(), std::as_writable_bytes(key.writable()), 0));
  return n == kKeyBytes ? std::move(key) : Secret();
}

}  // namespace

Result<KnownSecrets> KnownSecrets::open(int state, const Canaries& canaries, Secrets& vault,
                                        Random& random) {
  Secret key = TRY(read_key(state).context("state/search.key"));
  if (key.empty()) {
    key = TRY(Secret::of_size(kKeyBytes));
    random.fill(std::as_writable_bytes(key.writable()));
    TRY(sys::write_file_atomic(state, kKeyFile, key.reveal(), 0600).context("state/search.key"));
  }
  return KnownSecrets(canaries, vault, std::move(key));
}

Result<sys::UniqueFd> KnownSecrets::file() const {
  snapshot::NeedleSet known{.needles = TRY(vault_.needles())};
  for (snapshot::Needle& canary : canaries_.secrets()) known.needles.push_back(std::move(canary));
  known.id = snapshot::needle_set_id(known.needles, key_.reveal());
  std::string bytes = known.needles.empty() ? "" : TRY(snapshot::encode_needles(known));
  auto file = sys::sealed_memfd("secrets", bytes, false);
  for (snapshot::Needle& needle : known.needles) wipe(needle.value);
  wipe(bytes);
  return file;
}

Result<> refuse_secrets(const KnownSecrets& secrets, StoreLink& store,
                        std::vector<std::string> layers, const model::ImageConfig& config,
                        const fiber::Context& ctx, Search search,
                        const StoreLink::OnProgress& on_progress) {
  const sys::UniqueFd known = TRY(secrets.file());
  if (TRY(sys::stat_fd(known.get())).st_size == 0) return ok();
  const int fd = known.get();
  const snapshot::SearchLayers wanted{.layers = std::move(layers),
                                      .config = config,
                                      .anew = search == Search::anew,
                                      .timeout_ms = kSearchTimeoutMs};
  TRY(snapshot::expect<snapshot::Done>(store.call(wanted, {&fd, 1}, ctx, on_progress)));
  return ok();
}

Result<std::string> find_secret(const KnownSecrets& secrets, StoreLink& store,
                                const std::string& digest, const model::ImageConfig& config,
                                const fiber::Context& ctx,
                                const StoreLink::OnProgress& on_progress) {
  std::vector<std::string> layers;
  if (!digest.empty()) layers.push_back(digest);
  auto refused = refuse_secrets(secrets, store, std::move(layers), config, ctx, Search::anew,
                                on_progress);
  if (refused) return std::string();
  if (refused.error().code == Errc::conflict) return std::move(refused).error().message;
  return std::move(refused).error();
}

}  // namespace tare::host
