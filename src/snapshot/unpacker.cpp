#include "snapshot/unpacker.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "base/bytes.h"
#include "snapshot/image/image_import.h"
#include "snapshot/privileges.h"
#include "sys/capabilities.h"
#include "sys/fork.h"
#include "sys/landlock.h"
#include "sys/seqpacket.h"

namespace tare::snapshot {

namespace {

// Eight at once (host/store_link.h) take 4 GiB. zstd's largest window that is read without being
// asked for is 128 MiB (libarchive's limit, too), xz -9 has 64.
constexpr std::uint64_t kMemoryBytes = 512 * kMiB;
// What the limits of an environment (32 GiB) allow takes a quarter of it: inflate, hash, write.
constexpr std::uint64_t kCpuSeconds = 20 * 60;
constexpr std::uint64_t kOpenFiles = 256;  // one for each layer below, among others

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimitMemory = false;  // a sanitizer's shadow memory alone is terabytes of addresses
#else
constexpr bool kLimitMemory = true;
#endif

Result<> tell(int channel, const Reply& reply) {
  return sys::send_message(channel, TRY(encode(reply)));
}

constexpr std::string_view kGoOn = "+";

Result<> tell_and_wait(int channel, const Reply& reply) {
  TRY(tell(channel, reply));
  if (TRY(sys::receive_message(channel))) return ok();
  return Error{Errc::cancelled, "the job is gone"};
}

// What is done to the archive, in the confined process: below the folder, with answers in `reply`.
using Work = std::function<Result<Reply>(int archive, sys::UniqueFd folder, const OnProgress&)>;

Result<Reply> unpack_tree(int archive, sys::UniqueFd root, const TreeLimits& limits,
                          const OnProgress& progress) {
  TreeWriter writer(std::move(root), limits);
  EntryMetadata root_metadata;
  root_metadata.mtime_s = kImplicitMtime;
  TRY(writer.add_folder(kRootPath,
                        root_metadata));  // the archive's own entry for it, if any, comes later
  Imported imported;
  imported.layer.digest = digest_text(Sha256Digest{});  // not known here
  imported.dropped = TRY(import_tar(archive, writer, limits, progress));
  TRY(writer.finish());
  return Reply(std::move(imported));
}

Result<Reply> unpack_layers(int archive, int stage, const ImportImage& request,
                            const OnProgress& progress) {
  const ImageWish wish{request.platform, request.reference};
  UnpackedImage image = TRY(
      import_image(archive, stage, request.format, wish, request.limits, progress));
  return Reply(ImageImported{{}, image.kind, std::move(image.config), image.dropped});
}

Result<Reply> work_confined(int archive, sys::UniqueFd folder, std::uint64_t max_file_bytes,
                            int channel, int lock, const Work& work) {
  const int kept[] = {STDERR_FILENO, archive, folder.get(), channel, lock};
  TRY(confine(folder.get(), max_file_bytes, kept));
  const OnProgress progress = [channel](std::uint64_t entries, std::uint64_t bytes) {
    return tell_and_wait(channel, Progress{entries, bytes, false});
  };
  return work(archive, std::move(folder), progress);
}

[[noreturn]] void unpacker_main(sys::UniqueFd archive, sys::UniqueFd folder,
                                std::uint64_t max_file_bytes, int channel,
                                const UnpackContext& context, const Work& work) {
  if (context.budget != nullptr) context.budget->close();
  auto reply = work_confined(archive.get(), std::move(folder), max_file_bytes, channel,
                             context.lock, work);
  auto told = reply ? tell(channel, *reply) : std::move(reply).error();
  if (!told) told = tell(channel, failed(told.error()));
  ::_exit(told ? 0 : 1);
}

// Waits until the channel has a message.
Result<> wait_readable(int channel, const Clock& clock, std::uint64_t deadline_us) {
  for (;;) {
    const std::uint64_t now_us = clock.monotonic_us();
    if (now_us >= deadline_us) return Error{Errc::timeout, "import: its time is over"};
    const std::uint64_t left_ms = std::min<std::uint64_t>((deadline_us - now_us) / 1000 + 1,
                                                          60'000);
    pollfd waiting = {channel, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left_ms));
    if (ready > 0) return ok();
    if (ready < 0 && errno != EINTR) return sys_error(errno, "poll");
  }
}

Error ended_as(const sys::ExitStatus& status) {
  return Error{
      Errc::unavailable,
      status.signalled
          ? "the unpacker was ended by signal " + std::to_string(status.code) +
                " (a damaged or hostile archive, or one that needs more memory than allowed)"
          : "the unpacker ended with status " + std::to_string(status.code)};
}

Error crashed(sys::Child& child) {
  const auto status = child.wait(nullptr);
  return status ? ended_as(*status) : status.error();
}

// The closing reply of a process that ended well.
template <class Closing>
Result<Closing> unpacked(sys::UniqueFd archive, sys::UniqueFd folder, std::uint64_t max_file_bytes,
                         const OnProgress& progress, const UnpackContext& context,
                         const Work& work) {
  auto [ours, theirs] = TRY(sys::seqpacket_pair());
  sys::Child child = TRY(sys::fork_child());
  if (!child.valid())
    unpacker_main(std::move(archive), std::move(folder), max_file_bytes, theirs.get(), context,
                  work);
  theirs.reset();
  archive.reset();
  for (;;) {
    TRY(wait_readable(ours.get(), context.clock, context.deadline_us));
    auto message = sys::receive_message(ours.get());
    if (!message) return std::move(message).error();
    if (!*message) return crashed(child);
    Reply reply = TRY(decode_reply((*message)->bytes).context("unpacker"));
    if (const auto* step = std::get_if<Progress>(&reply)) {
      TRY(progress(step->entries, step->bytes));
      (void)sys::send_message(ours.get(), kGoOn);  // one that died is noticed below
    } else if (const auto* failure = std::get_if<Failed>(&reply)) {
      return error_of(*failure);
    } else if (auto* closing = std::get_if<Closing>(&reply)) {
      const auto status = TRY(child.wait(nullptr));  // nothing is written after this
      if (status.signalled || status.code != 0) return ended_as(status);
      return std::move(*closing);
    } else {
      return Error{Errc::internal, "unpacker: unexpected message"};
    }
  }
}

}  // namespace

Result<> confine(int root, std::uint64_t max_file_bytes, std::span<const int> kept) {
  TRY(sys::close_all_but(kept));
  // A write beyond RLIMIT_FSIZE then fails with EFBIG, which can be reported.
  if (::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return sys_error(errno, "signal");
  TRY(sys::limit_resource(RLIMIT_CORE, 0));
  TRY(sys::limit_resource(RLIMIT_NOFILE, kOpenFiles));
  TRY(sys::limit_resource(RLIMIT_CPU, kCpuSeconds));
  TRY(sys::limit_resource(RLIMIT_FSIZE, std::max<std::uint64_t>(max_file_bytes, 1)));
  if (kLimitMemory) TRY(sys::limit_resource(RLIMIT_AS, kMemoryBytes));
  TRY(sys::keep_only_capabilities(kStoreCapabilities));
  // A second wall: a kernel without Landlock still has the first one (tree_writer.h) and the
  // limits.
  (void)TRY(sys::confine_writes_beneath(root));
  return ok();
}

Result<TarCounts> unpack(sys::UniqueFd archive, sys::UniqueFd root, const TreeLimits& limits,
                         const OnProgress& progress, const UnpackContext& context) {
  const Work work = [&](int stream, sys::UniqueFd folder, const OnProgress& tell_job) {
    return unpack_tree(stream, std::move(folder), limits, tell_job);
  };
  return TRY(unpacked<Imported>(std::move(archive), std::move(root), limits.max_file_bytes,
                                progress, context, work))
      .dropped;
}

ImageImported believed(ImageImported said) {
  said.layers.clear();
  return said;
}

Result<ImageImported> unpack_image(sys::UniqueFd archive, sys::UniqueFd stage,
                                   const ImportImage& request, const OnProgress& progress,
                                   const UnpackContext& context) {
  const Work work = [&](int stream, sys::UniqueFd folder, const OnProgress& tell_job) {
    return unpack_layers(stream, folder.get(), request, tell_job);
  };
  const std::uint64_t longest = archive_limits(request.limits, request.format).max_file_bytes;
  return believed(TRY(unpacked<ImageImported>(std::move(archive), std::move(stage), longest,
                                              progress, context, work)));
}

}  // namespace tare::snapshot
