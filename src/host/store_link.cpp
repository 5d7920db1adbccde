#include "host/store_link.h"

#include <poll.h>

#include <algorithm>
#include <chrono>

#include "fiber/timer.h"
#include "fiber/wait.h"
#include "sys/seqpacket.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxIdle = 8;
constexpr fiber::Duration kFirstRetry = 5ms;
constexpr fiber::Duration kLastRetry = 100ms;
constexpr std::string_view kClosed = "tare-store closed the connection";

// An idle connection has nothing to say: if it has, it is closed or useless.
bool is_quiet(int fd) {
  pollfd poll = {.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, 0) == 0;
}

}  // namespace

void StoreLink::watch(const fiber::Context& ctx) {
  fiber::Duration retry = kFirstRetry;
  while (ctx.check()) {
    auto client = connect(ctx);
    if (client) {
      retry = kFirstRetry;
      auto peer = sys::peer_credentials(client->fd());
      status_ = {.connected = true,
                 .pid = peer ? static_cast<std::uint32_t>(peer->pid) : 0,
                 .version = client->version(),
                 .detail = {}};
      if (!fiber::wait_readable(client->fd(), ctx)) return;
      status_ = {.connected = false, .pid = 0, .version = {}, .detail = std::string(kClosed)};
    } else {
      status_ = {.connected = false,
                 .pid = 0,
                 .version = std::exchange(refused_version_, {}),
                 .detail = client.error().message};
    }
    if (!fiber::sleep_for(retry, ctx)) return;
    retry = std::min(retry * 2, kLastRetry);
  }
}

Result<snapshot::StoreClient> StoreLink::connect(const fiber::Context& ctx) {
  auto client = TRY(
      offload_.run([&] { return snapshot::StoreClient::connect(path_, TARE_VERSION); }, ctx));
  if (client.version() == TARE_VERSION) return client;
  refused_version_ = client.version();
  return other_release("tare-store", client.version());
}

Result<snapshot::StoreClient> StoreLink::take(const fiber::Context& ctx) {
  while (!idle_.empty()) {
    snapshot::StoreClient client = std::move(idle_.back());
    idle_.pop_back();
    if (is_quiet(client.fd())) return client;
  }
  auto client = connect(ctx);
  if (client || client.error().code == Errc::cancelled) return client;
  return Error{Errc::unavailable,
               "tare-store is not up: run `tare up` (" + client.error().message + ")"};
}

void StoreLink::give_back(snapshot::StoreClient client) {
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(client));
}

Result<snapshot::Reply> StoreLink::finish(snapshot::StoreClient& client, const fiber::Context& ctx,
                                          const OnProgress& on_progress) {
  for (;;) {
    TRY(fiber::wait_readable(client.fd(), ctx));
    snapshot::Reply reply = TRY(client.receive());
    if (const auto* failure = std::get_if<snapshot::Failed>(&reply))
      return snapshot::error_of(*failure);
    const auto* progress = std::get_if<snapshot::Progress>(&reply);
    if (progress == nullptr) return reply;
    if (on_progress) on_progress(*progress);
  }
}

Result<StoreLink::Slot> StoreLink::slot_for(const snapshot::Request& request,
                                            const fiber::Context& ctx) {
  const bool unpacks = std::holds_alternative<snapshot::ImportTar>(request) ||
                       std::holds_alternative<snapshot::ImportImage>(request);
  if (!unpacks) return Slot();
  const auto waited = unpacked_.wait_until([this] { return unpacking_ < kMaxUnpacking; },
                                           ctx.with_timeout(kUnpackPatience));
  if (!waited && waited.error().code == Errc::timeout && ctx.check()) {
    return Error{Errc::exhausted, std::to_string(kMaxUnpacking) +
                                      " archives are being unpacked already; try again later"};
  }
  if (!waited) return waited.error();
  ++unpacking_;
  return Slot(nullptr, [this](void*) {
    --unpacking_;
    unpacked_.notify_all();
  });
}

Result<snapshot::Reply> StoreLink::call(const snapshot::Request& request, std::span<const int> fds,
                                        const fiber::Context& ctx, const OnProgress& on_progress) {
  const Slot slot = TRY(slot_for(request, ctx));
  snapshot::StoreClient client = TRY(take(ctx));
  TRY(client.send(request, fds));
  auto reply = TRY(finish(client, ctx, on_progress));
  give_back(std::move(client));
  return reply;
}

Result<snapshot::Reply> StoreLink::call_giving(const snapshot::Request& request,
                                               sys::UniqueFd given, int beside,
                                               const fiber::Context& ctx) {
  const Slot slot = TRY(slot_for(request, ctx));
  snapshot::StoreClient client = TRY(take(ctx));
  const int fds[] = {given.get(), beside};
  TRY(client.send(request, std::span(fds).first(beside < 0 ? 1 : 2)));
  given.reset();
  auto reply = TRY(finish(client, ctx, nullptr));
  give_back(std::move(client));
  return reply;
}

Result<sys::UniqueFd> StoreLink::open(const snapshot::Request& request, const fiber::Context& ctx) {
  snapshot::StoreClient client = TRY(take(ctx));
  TRY(client.send(request));
  TRY(snapshot::expect<snapshot::Opened>(finish(client, ctx, nullptr)));
  sys::UniqueFd opened = client.take_opened();
  give_back(std::move(client));
  return opened;
}

Result<snapshot::Imported> StoreLink::import_files(snapshot::FilesOf of,
                                                   std::span<const snapshot::FileItem> files,
                                                   std::span<const int> fds, int secrets,
                                                   const fiber::Context& ctx) {
  snapshot::StoreClient client = TRY(take(ctx));
  return offload_.run([&] { return client.import_files(of, files, fds, secrets); }, ctx);
}

}  // namespace tare::host
