#include "snapshot/jobs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/limits.h"
#include "snapshot/collect.h"
#include "snapshot/files_import.h"
#include "snapshot/flatten.h"
#include "snapshot/freeze.h"
#include "snapshot/image/image_export.h"
#include "snapshot/layer_search.h"
#include "snapshot/needles.h"
#include "snapshot/unpacker.h"
#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::snapshot {

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY;
constexpr int kReplyTimeoutMs = 30'000;  // a client that reads nothing for so long has gone wrong
constexpr int kChunkTimeoutMs = 60'000;  // between two FileChunks
constexpr std::uint64_t kProgressEveryUs = 50'000;
constexpr std::uint64_t kNever = UINT64_MAX;

// Homes of agents: their files, the folders they lie in, and the three every layer has.
constexpr TreeLimits kAgentLimits = {.max_entries = kMaxAgentFiles * (kMaxPathComponents + 1),
                                     .max_bytes = kMaxAgentFilesBytes,
                                     .max_file_bytes = kMaxAgentFilesBytes};

Result<> wait_for(int connection, short event, int timeout_ms) {
  for (;;) {
    pollfd waiting = {connection, event, 0};
    const int ready = ::poll(&waiting, 1, timeout_ms);
    if (ready > 0) return ok();
    if (ready == 0) return Error{Errc::timeout, "the client does not answer"};
    if (errno != EINTR) return sys_error(errno, "poll");
  }
}

class Job {
 public:
  explicit Job(const JobContext& context) : context_(context) {}

  Result<Reply> run(const Request& request, std::vector<sys::UniqueFd> fds);
  sys::UniqueFd take_beside() { return std::move(beside_); }

 private:
  Result<Reply> opened(Result<sys::UniqueFd> file);
  Result<Reply> import_tar_stream(const ImportTar& request, std::vector<sys::UniqueFd> fds);
  Result<Reply> import_image(const ImportImage& request, std::vector<sys::UniqueFd> fds);
  Result<Reply> export_image(const ExportImage& request, int out);
  Result<std::vector<std::string>> staged_layers(int stage, ImageKind kind) const;
  Result<Reply> import_files(const ImportFiles& request, int secrets);
  Result<Reply> freeze(const Freeze& request, const std::vector<sys::UniqueFd>& fds);
  Result<Reply> flatten(const Flatten& request, std::vector<sys::UniqueFd> fds);
  Result<Reply> search(const SearchLayers& request, int secrets);
  Result<Manifest> manifest_of(const std::string& digest) const;
  Result<std::unique_ptr<KnownFiles>> known_files(const std::string& digest) const;
  Result<sys::Message> receive();
  Result<sys::UniqueFd> staged_root();
  OnProgress progress(bool hashing);
  Result<> tell(const Progress& progress);
  OnProgress unpacking();
  void set_deadline(std::uint64_t timeout_ms);

  const JobContext& context_;
  std::uint64_t deadline_us_ = kNever;
  std::uint64_t told_us_ = 0;
  sys::UniqueFd beside_;  // to be sent with the reply
};

void Job::set_deadline(std::uint64_t timeout_ms) {
  const std::uint64_t now_us = context_.clock.monotonic_us();
  deadline_us_ = timeout_ms > (kNever - now_us) / 1000 ? kNever : now_us + timeout_ms * 1000;
}

OnProgress Job::progress(bool hashing) {
  return [this, hashing](std::uint64_t entries, std::uint64_t bytes) -> Result<> {
    const std::uint64_t now_us = context_.clock.monotonic_us();
    if (now_us >= deadline_us_) return Error{Errc::timeout, "its time is over"};
    if (now_us < told_us_ + kProgressEveryUs) return ok();
    return tell(Progress{entries, bytes, hashing});
  };
}

Result<> Job::tell(const Progress& progress) {
  told_us_ = context_.clock.monotonic_us();
  auto sent = sys::send_message(context_.connection, TRY(encode(Reply(progress))));
  if (!sent && sent.error().sys != EAGAIN) return Error{Errc::cancelled, "the client is gone"};
  return ok();
}

// The unpacker waits for this before it writes more.
OnProgress Job::unpacking() {
  return [this, tell = progress(false)](std::uint64_t entries, std::uint64_t bytes) -> Result<> {
    TRY(context_.budget->use(context_.slot, bytes, entries));
    TRY(check_free_space(context_.store.staging()));
    return tell(entries, bytes);
  };
}

Result<sys::UniqueFd> Job::staged_root() {
  const sys::UniqueFd stage = TRY(context_.store.stage(context_.name));
  TRY(sys::make_dir_at(stage.get(), "root", 0700));
  return sys::open_beneath(stage.get(), "root", kFolder);
}

// What must not be in what a request makes; nothing to look for when there are no secrets.
class Forbidden {
 public:
  static Result<Forbidden> read(int fd, std::string fix) {
    // Each part of a session is a request of its own with the same file.
    if (::lseek(fd, 0, SEEK_SET) != 0) return sys_error(errno, "secrets");
    const std::string bytes = TRY(sys::read_all(fd, kMaxNeedlesBytes).context("secrets"));
    NeedleSet set;
    if (!bytes.empty()) set = TRY(parse_needles(bytes).context("secrets"));
    return Forbidden(std::move(set), std::move(fix));
  }
  // nullptr: nothing.
  const NeedleCheck* check() const { return search_->empty() ? nullptr : &check_; }

 private:
  Forbidden(NeedleSet set, std::string fix)
      : search_(std::make_unique<NeedleSearch>(std::move(set.needles))),
        check_{*search_, set.id, std::move(fix)} {}
  std::unique_ptr<NeedleSearch> search_;  // check_ refers to it
  NeedleCheck check_;
};

constexpr const char* kFixOfUpper = ": take it out there, and do this again";
constexpr const char* kFixOfImport = ": nothing of it was kept; make it again without that";
constexpr const char* kFixOfLayer =
    ", which never changes, and goes along also where a layer above hides it: make again what it "
    "is of, without that";
constexpr const char* kFixOfConfig = ": make the environment again without that";
constexpr const char* kFixOfFiles = ": take it out, and send the files again";

Result<Reply> Job::import_tar_stream(const ImportTar& request, std::vector<sys::UniqueFd> fds) {
  set_deadline(request.timeout_ms);
  const Forbidden secrets = TRY(Forbidden::read(fds[1].get(), kFixOfImport));
  sys::UniqueFd root = TRY(staged_root());
  const TarCounts dropped = TRY(
      unpack(std::move(fds[0]), std::move(root), request.limits, unpacking(),
             {context_.clock, deadline_us_, context_.store.lock_fd(), context_.budget}));
  Imported imported = TRY(
      context_.store.publish(context_.name, progress(true), {.secrets = secrets.check()}));
  imported.dropped = dropped;
  return Reply(std::move(imported));
}

// Their folders, lowest first.
Result<std::vector<std::string>> Job::staged_layers(int stage, ImageKind kind) const {
  if (kind == ImageKind::tree) return std::vector{std::string(kArchiveStage)};
  auto names = TRY(sys::list_dir(stage, "."));
  std::erase(names, kArchiveStage);
  if (names.size() > kMaxImageLayers) return Error{Errc::internal, "unpacker: too many layers"};
  // They are numbers without leading zeros.
  std::ranges::sort(names, [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return names;
}

Result<Reply> Job::import_image(const ImportImage& request, std::vector<sys::UniqueFd> fds) {
  set_deadline(request.timeout_ms);
  const Forbidden secrets = TRY(Forbidden::read(fds[1].get(), kFixOfImport));
  const sys::UniqueFd stage = TRY(context_.store.stage(context_.name));
  ImageImported imported = TRY(
      unpack_image(std::move(fds[0]), TRY(sys::dup_fd(stage.get())), request, unpacking(),
                   {context_.clock, deadline_us_, context_.store.lock_fd(), context_.budget}));
  if (secrets.check() != nullptr) TRY(refuse_secrets_in(imported.config, *secrets.check()));
  const Conditions conditions{.secrets = secrets.check()};
  for (const std::string& part : TRY(staged_layers(stage.get(), imported.kind))) {
    LayerInfo layer = TRY(context_.store.publish_part(context_.name, part, progress(true),
                                                      conditions))
                          .layer;
    // One that comes again hides what it hid before: only the highest counts.
    std::erase_if(imported.layers, [&](const auto& one) { return one.digest == layer.digest; });
    imported.layers.push_back(std::move(layer));
  }
  TRY(context_.store.discard(context_.name));
  return Reply(std::move(imported));
}

// As its digest says it is.
Result<Manifest> Job::manifest_of(const std::string& digest) const {
  const sys::UniqueFd file = TRY(context_.store.open_manifest(digest));
  const std::string text = TRY(sys::read_all(file.get(), kMaxManifestBytes).context(digest));
  if (sha256_text(text) == digest) return parse_manifest(text).context(digest);
  return Error{Errc::conflict,
               "layer " + digest + ": its manifest is damaged; `tare env verify` tells more"};
}

Result<Reply> Job::export_image(const ExportImage& request, int out) {
  set_deadline(request.timeout_ms);
  if (::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return sys_error(errno, "signal");
  ImageToExport image{{}, request.config, request.reference};
  for (const std::string& digest : request.layers) {
    image.layers.push_back({digest, TRY(context_.store.root_of(digest)), TRY(manifest_of(digest))});
  }
  const auto done = TRY(snapshot::export_image(image, request.format, out, progress(false)));
  return Reply(Exported{done.bytes, done.digest});
}

Result<sys::Message> Job::receive() {
  TRY(wait_for(context_.connection, POLLIN, kChunkTimeoutMs));
  auto message = TRY(sys::receive_message(context_.connection));
  if (!message) return Error{Errc::cancelled, "the client is gone"};
  return std::move(*message);
}

Result<Reply> Job::import_files(const ImportFiles& request, int secrets) {
  const Forbidden forbidden = TRY(Forbidden::read(secrets, kFixOfFiles));
  if (request.files > kMaxAgentFiles) {
    return Error{Errc::exhausted,
                 "at most " + std::to_string(kMaxAgentFiles) + " files are taken at once", 0,
                 "files"};
  }
  TreeWriter writer(TRY(staged_root()), kAgentLimits);
  TRY(add_base_folders(writer, request.of));
  for (std::size_t left = request.files; left > 0;) {
    const sys::Message message = TRY(receive());
    const Request next = TRY(decode_request(message.bytes));
    const auto* chunk = std::get_if<FileChunk>(&next);
    if (chunk == nullptr || chunk->files.size() > left ||
        message.fds.size() != descriptors_of(next)) {
      return Error{Errc::invalid, "message: a FileChunk with one descriptor a file is expected"};
    }
    TRY(add_files(writer, request.of, chunk->files, message.fds));
    left -= chunk->files.size();
  }
  TRY(writer.finish());
  return Reply(
      TRY(context_.store.publish(context_.name, progress(true), {.secrets = forbidden.check()})));
}

Result<Reply> Job::search(const SearchLayers& request, int secrets) {
  set_deadline(request.timeout_ms);
  Forbidden forbidden = TRY(Forbidden::read(secrets, ""));
  if (forbidden.check() == nullptr) return Reply(Done{});
  const NeedleCheck& all = *forbidden.check();
  TRY(refuse_secrets_in(request.config, {all.search, all.set, kFixOfConfig}));
  for (const std::string& digest : request.layers) {
    const NeedleCheck check{all.search, all.set, " of layer " + digest + kFixOfLayer};
    TRY(context_.store.search(digest, check, request.anew, progress(true)));
  }
  return Reply(Done{});
}

// Two requests may read it at once, with one offset between them.
Result<std::string> text_of(int file) {
  const auto size = static_cast<std::uint64_t>(TRY(sys::stat_fd(file)).st_size);
  if (size > kMaxOpaqueBytes) return Error{Errc::exhausted, "it is too long"};
  std::string text(size, '\0');
  text.resize(TRY(sys::read_at(file, std::as_writable_bytes(std::span(text)), 0)));
  return text;
}

// nullptr where there is none: it may be gone, and is only there to be quick.
Result<std::unique_ptr<KnownFiles>> Job::known_files(const std::string& digest) const {
  if (digest.empty()) return std::unique_ptr<KnownFiles>();
  auto root = context_.store.root_of(digest);
  auto manifest = manifest_of(digest);
  if (!root || !manifest) return std::unique_ptr<KnownFiles>();
  return std::make_unique<KnownFiles>(std::move(*root), std::move(*manifest));
}

Result<Reply> Job::freeze(const Freeze& request, const std::vector<sys::UniqueFd>& fds) {
  const int upper = fds[0].get(), opaque = fds[1].get();
  set_deadline(request.timeout_ms);
  const Forbidden secrets = TRY(Forbidden::read(fds[2].get(), kFixOfUpper));
  std::vector<sys::UniqueFd> roots;
  for (auto digest = request.layers.rbegin(); digest != request.layers.rend(); ++digest)
    roots.push_back(TRY(context_.store.root_of(*digest)));
  if (request.over_base) roots.push_back(TRY(sys::dup_fd(fds[3].get())));
  const PathSet opaque_folders = TRY(parse_opaque(TRY(text_of(opaque).context("opaque folders"))));
  std::unique_ptr<KnownFiles> known = TRY(known_files(request.since));
  TreeWriter writer(TRY(staged_root()), request.limits);
  CopiedUpper copied = TRY(copy_upper(upper, opaque_folders, LowerView(std::move(roots)), request,
                                      writer, progress(false), known.get()));
  TRY(tell(Progress{writer.entries(), writer.bytes(), true}));  // the upper is not needed any more
  copied.known.layer = request.since;
  copied.known.searched = secrets.check() != nullptr && known &&
                          context_.store.is_searched(request.since, secrets.check()->set);
  Imported imported = TRY(context_.store.publish(
      context_.name, progress(true),
      {.secrets = secrets.check(), .known = known ? &copied.known : nullptr}));
  imported.dropped = copied.dropped;
  imported.cut = std::move(copied.cut);
  return Reply(std::move(imported));
}

Result<Reply> Job::flatten(const Flatten& request, std::vector<sys::UniqueFd> fds) {
  set_deadline(request.timeout_ms);
  std::vector<Manifest> manifests;
  std::vector<sys::UniqueFd> roots;
  if (request.over_base) {
    // Nothing of it is copied: it says which whiteouts hide something.
    std::string text;
    const auto append = [&text](std::string_view more) {
      text += more;
      return ok();
    };
    TRY(write_manifest_of(fds[0].get(), append, progress(true)).context("what lies below"));
    manifests.push_back(TRY(parse_manifest(text)));
    roots.push_back(std::move(fds[0]));
  }
  for (const std::string& digest : request.layers) {
    manifests.push_back(TRY(manifest_of(digest)));
    if (!request.only_digest) roots.push_back(TRY(context_.store.root_of(digest)));
  }
  const std::size_t kept = request.kept + (request.over_base ? 1 : 0);
  const FlatTree tree = flat_tree(manifests, kept, request.without);
  manifests.clear();
  const Sha256Digest expected = TRY(digest_of(tree));
  if (request.only_digest) {
    Imported would;
    would.layer.digest = digest_text(expected);
    return Reply(std::move(would));
  }
  TreeWriter writer(TRY(staged_root()), request.limits);
  TRY(write_flat(tree, roots, writer, progress(false)));
  return Reply(TRY(context_.store.publish(context_.name, progress(true), {.expected = &expected})));
}

Result<Reply> Job::opened(Result<sys::UniqueFd> file) {
  beside_ = TRY(std::move(file));
  return Reply(Opened{static_cast<std::uint64_t>(TRY(sys::stat_fd(beside_.get())).st_size)});
}

Result<Reply> Job::run(const Request& request, std::vector<sys::UniqueFd> fds) {
  const LayerStore& store = context_.store;
  if (const auto* m = std::get_if<ImportTar>(&request))
    return import_tar_stream(*m, std::move(fds));
  if (const auto* m = std::get_if<ImportImage>(&request)) return import_image(*m, std::move(fds));
  if (const auto* m = std::get_if<ExportImage>(&request)) return export_image(*m, fds[0].get());
  if (const auto* m = std::get_if<ImportFiles>(&request)) return import_files(*m, fds[0].get());
  if (const auto* m = std::get_if<Freeze>(&request)) return freeze(*m, fds);
  if (const auto* m = std::get_if<Flatten>(&request)) return flatten(*m, std::move(fds));
  if (const auto* m = std::get_if<SearchLayers>(&request)) return search(*m, fds[0].get());
  if (const auto* m = std::get_if<Collect>(&request)) {
    set_deadline(m->timeout_ms);
    return Reply(TRY(collect(store, context_.name, fds[0].get(), *m, progress(false))));
  }
  if (const auto* m = std::get_if<VerifyLayer>(&request))
    return Reply(TRY(store.verify(m->digest, progress(true))));
  if (const auto* m = std::get_if<StatLayer>(&request)) return Reply(TRY(store.stat(m->digest)));
  if (const auto* m = std::get_if<ListLayers>(&request)) return Reply(TRY(store.list(m->after)));
  if (std::holds_alternative<ListStrays>(request)) return Reply(TRY(store.strays()));
  if (const auto* m = std::get_if<OpenManifest>(&request))
    return opened(store.open_manifest(m->digest));
  if (const auto* m = std::get_if<OpenFile>(&request))
    return opened(store.copy_file(m->digest, m->path));
  if (const auto* m = std::get_if<RemoveLayer>(&request)) {
    TRY(store.remove(m->digest, context_.name));
    return Reply(Done{});
  }
  if (const auto* m = std::get_if<RemoveRun>(&request)) {
    TRY(remove_run(store, context_.name, m->run));
    return Reply(Done{});
  }
  return Error{Errc::invalid, "message: it does not begin a request"};
}

}  // namespace

JobReply run_job(const Request& request, std::vector<sys::UniqueFd> fds,
                 const JobContext& context) {
  Job job(context);
  auto reply = job.run(request, std::move(fds));
  if (reply) return {std::move(reply).value(), job.take_beside()};
  (void)context.store.discard(
      context.name);  // the first error is the one to report; the next start sweeps
  return {failed(reply.error())};
}

Result<> send_reply(int connection, const Reply& reply, int beside) {
  CHECK((beside >= 0) == (descriptors_of(reply) == 1));
  const std::string message = TRY(encode(reply));
  const std::span<const int> fds(&beside, beside >= 0 ? 1 : 0);
  for (;;) {
    auto sent = sys::send_message(connection, message, fds);
    if (sent || sent.error().sys != EAGAIN) return sent;
    TRY(wait_for(connection, POLLOUT, kReplyTimeoutMs));
  }
}

}  // namespace tare::snapshot
