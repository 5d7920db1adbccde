#include "snapshot/protocol.h"

#include "base/hash.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/wire.h"
#include "snapshot/paths.h"

namespace tare::snapshot {

std::size_t descriptors_of(const Request& request) {
  if (const auto* chunk = std::get_if<FileChunk>(&request)) return chunk->files.size();
  if (std::holds_alternative<Freeze>(request)) return 3;
  return std::holds_alternative<ImportTar>(request) || std::holds_alternative<Collect>(request) ? 1
                                                                                                : 0;
}
std::size_t descriptors_of(const Reply& reply) {
  return std::holds_alternative<Opened>(reply) ? 1 : 0;
}

namespace {

constexpr std::size_t kMaxProgramBytes = 128;
constexpr std::size_t kMaxRunBytes = 64;
constexpr std::size_t kMaxDifferenceBytes = 16 * 1024;

// ---- Fields that several messages share ----

void put(WireWriter& w, const TreeLimits& limits) {
  w.u64(limits.max_entries);
  w.u64(limits.max_bytes);
  w.u64(limits.max_file_bytes);
}
Result<TreeLimits> take_limits(WireReader& r) {
  TreeLimits limits;
  limits.max_entries = TRY(r.u64("limits.max_entries"));
  limits.max_bytes = TRY(r.u64("limits.max_bytes"));
  limits.max_file_bytes = TRY(r.u64("limits.max_file_bytes"));
  return limits;
}

Result<std::string> take_digest(WireReader& r) {
  std::string digest = TRY(r.text("digest", kMaxDigestBytes));
  if (!is_digest(digest))
    return Error{Errc::invalid, "message field digest: \"sha256:\" and 64 hex digits expected"};
  return digest;
}
Result<std::string> take_run(WireReader& r) {
  std::string run = TRY(r.text("run", kMaxRunBytes));
  if (!is_run_id(run)) return Error{Errc::invalid, "message field run: it is not a run id"};
  return run;
}
Result<std::uint64_t> take_timeout(WireReader& r) {
  const std::uint64_t timeout_ms = TRY(r.u64("timeout_ms"));
  if (timeout_ms == 0) return Error{Errc::invalid, "message field timeout_ms: 1 or more expected"};
  return timeout_ms;
}

void put(WireWriter& w, const LayerInfo& layer) {
  w.text("digest", layer.digest, kMaxDigestBytes);
  w.u64(layer.entries);
  w.u64(layer.bytes);
}
Result<LayerInfo> take_layer(WireReader& r) {
  LayerInfo layer;
  layer.digest = TRY(take_digest(r));
  layer.entries = TRY(r.u64("entries"));
  layer.bytes = TRY(r.u64("bytes"));
  return layer;
}

void put(WireWriter& w, const Hello& m) {
  w.u32(kProtocolMagic);
  w.u32(m.version);
  w.text("program", m.program, kMaxProgramBytes);
}
Result<Hello> take_hello(WireReader& r) {
  if (TRY(r.u32("magic")) != kProtocolMagic)
    return Error{Errc::invalid, "message field magic: another protocol"};
  Hello m;
  m.version = TRY(r.u32("version"));
  m.program = TRY(r.text("program", kMaxProgramBytes));
  return m;
}

// ---- Requests ----

void put(WireWriter& w, const ImportTar& m) {
  put(w, m.limits);
  w.u64(m.timeout_ms);
}
Result<Request> take_import_tar(WireReader& r) {
  ImportTar m;
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(m);
}

void put(WireWriter& w, const ImportFiles& m) { w.u32(m.files); }
Result<Request> take_import_files(WireReader& r) {
  ImportFiles m;
  m.files = TRY(r.u32("files"));
  if (m.files == 0) return Error{Errc::invalid, "message field files: 1 or more expected"};
  return Request(m);
}

void put(WireWriter& w, const FileChunk& m) {
  w.count("files", m.files.size(), kMaxFilesPerChunk);
  for (const FileItem& file : m.files) {
    w.text("path", file.path, kMaxPathBytes);
    w.u32(file.mode);
  }
}
Result<Request> take_file_chunk(WireReader& r) {
  FileChunk m;
  const std::size_t files = TRY(r.count("files", kMaxFilesPerChunk, 8));
  if (files == 0) return Error{Errc::invalid, "message field files: 1 or more expected"};
  for (std::size_t i = 0; i < files; ++i) {
    FileItem file;
    file.path = TRY(r.text("path", kMaxPathBytes));
    file.mode = TRY(r.u32("mode"));
    if (file.mode > 0777)
      return Error{Errc::invalid, "message field mode: permission bits only, 0 to 0777"};
    m.files.push_back(std::move(file));
  }
  return Request(std::move(m));
}

void put(WireWriter& w, const Collect& m) {
  w.text("run", m.run, kMaxRunBytes);
  w.u32(m.owner_base);
  w.u32(m.owner_count);
  put(w, m.limits);
  w.u64(m.timeout_ms);
}
Result<Request> take_collect(WireReader& r) {
  Collect m;
  m.run = TRY(take_run(r));
  m.owner_base = TRY(r.u32("owner_base"));
  m.owner_count = TRY(r.u32("owner_count"));
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

void put(WireWriter& w, const VerifyLayer& m) { w.text("digest", m.digest, kMaxDigestBytes); }
Result<Request> take_verify(WireReader& r) { return Request(VerifyLayer{TRY(take_digest(r))}); }
void put(WireWriter& w, const StatLayer& m) { w.text("digest", m.digest, kMaxDigestBytes); }
Result<Request> take_stat(WireReader& r) { return Request(StatLayer{TRY(take_digest(r))}); }
void put(WireWriter& w, const RemoveLayer& m) { w.text("digest", m.digest, kMaxDigestBytes); }
Result<Request> take_remove(WireReader& r) { return Request(RemoveLayer{TRY(take_digest(r))}); }

void put(WireWriter& w, const ListLayers& m) { w.text("after", m.after, kMaxDigestBytes); }
Result<Request> take_list(WireReader& r) {
  ListLayers m;
  m.after = TRY(r.text("after", kMaxDigestBytes));
  if (!m.after.empty() && !is_digest(m.after))
    return Error{Errc::invalid, "message field after: not a digest"};
  return Request(std::move(m));
}

void put(WireWriter& w, const RemoveRun& m) { w.text("run", m.run, kMaxRunBytes); }
Result<Request> take_remove_run(WireReader& r) { return Request(RemoveRun{TRY(take_run(r))}); }

void put_layers(WireWriter& w, const std::vector<std::string>& layers) {
  w.count("layers", layers.size(), kMaxFrozenLayers);
  for (const std::string& layer : layers) w.text("digest", layer, kMaxDigestBytes);
}
Result<std::vector<std::string>> take_layers(WireReader& r) {
  std::vector<std::string> layers(TRY(r.count("layers", kMaxFrozenLayers, 4)));
  for (std::string& layer : layers) layer = TRY(take_digest(r));
  return layers;
}

void put_paths(WireWriter& w, std::string_view field, const std::vector<std::string>& paths) {
  w.count(field, paths.size(), kMaxLeftOut);
  for (const std::string& path : paths) w.text("path", path, kMaxPathBytes);
}
Result<std::vector<std::string>> take_paths(WireReader& r, std::string_view field) {
  std::vector<std::string> paths;
  const std::size_t count = TRY(r.count(field, kMaxLeftOut, 4));
  for (std::size_t i = 0; i < count; ++i) {
    paths.push_back(TRY(r.text("path", kMaxPathBytes)));
    TRY(check_entry_path(paths.back()).context("message field " + std::string(field)));
  }
  return paths;
}

void put(WireWriter& w, const Freeze& m) {
  put_layers(w, m.layers);
  w.u32(m.owner_base);
  w.u32(m.owner_count);
  put_paths(w, "without", m.without);
  put_paths(w, "only", m.only);
  w.boolean(m.over_host);
  put(w, m.limits);
  w.u64(m.timeout_ms);
}
Result<Request> take_freeze(WireReader& r) {
  Freeze m;
  m.layers = TRY(take_layers(r));
  m.owner_base = TRY(r.u32("owner_base"));
  m.owner_count = TRY(r.u32("owner_count"));
  m.without = TRY(take_paths(r, "without"));
  m.only = TRY(take_paths(r, "only"));
  m.over_host = TRY(r.boolean("over_host"));
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

void put(WireWriter& w, const OpenManifest& m) { w.text("digest", m.digest, kMaxDigestBytes); }
Result<Request> take_open_manifest(WireReader& r) {
  return Request(OpenManifest{TRY(take_digest(r))});
}
void put(WireWriter& w, const OpenFile& m) {
  w.text("digest", m.digest, kMaxDigestBytes);
  w.bytes("path", m.path, kMaxEntryPathBytes);
}
Result<Request> take_open_file(WireReader& r) {
  OpenFile m;
  m.digest = TRY(take_digest(r));
  m.path = TRY(r.bytes("path", kMaxEntryPathBytes));
  TRY(check_entry_path(m.path).context("message field path"));
  return Request(std::move(m));
}

void put(WireWriter& w, const Flatten& m) {
  put_layers(w, m.layers);
  w.u32(m.kept);
  put(w, m.limits);
  w.u64(m.timeout_ms);
}
Result<Request> take_flatten(WireReader& r) {
  Flatten m;
  m.layers = TRY(take_layers(r));
  m.kept = TRY(r.u32("kept"));
  if (m.kept >= m.layers.size())
    return Error{Errc::invalid, "message field kept: fewer than there are layers expected"};
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

Result<Request> take_request_hello(WireReader& r) { return Request(TRY(take_hello(r))); }

// By the alternative's index in Request, which is also its number on the wire.
constexpr Result<Request> (*kRequests[])(WireReader&) = {
    take_request_hello, take_import_tar,    take_import_files, take_file_chunk, take_collect,
    take_verify,        take_stat,          take_remove,       take_list,       take_remove_run,
    take_freeze,        take_open_manifest, take_open_file,    take_flatten};
static_assert(std::size(kRequests) == std::variant_size_v<Request>);

// ---- Replies ----

void put(WireWriter& w, const Progress& m) {
  w.u64(m.entries);
  w.u64(m.bytes);
  w.boolean(m.hashing);
}
Result<Reply> take_progress(WireReader& r) {
  Progress m;
  m.entries = TRY(r.u64("entries"));
  m.bytes = TRY(r.u64("bytes"));
  m.hashing = TRY(r.boolean("hashing"));
  return Reply(m);
}

void put(WireWriter& w, const Imported& m) {
  put(w, m.layer);
  w.boolean(m.reused);
  w.u64(m.dropped.devices);
  w.u64(m.dropped.specials);
  w.u64(m.dropped.xattrs);
}
Result<Reply> take_imported(WireReader& r) {
  Imported m;
  m.layer = TRY(take_layer(r));
  m.reused = TRY(r.boolean("reused"));
  m.dropped.devices = TRY(r.u64("devices"));
  m.dropped.specials = TRY(r.u64("specials"));
  m.dropped.xattrs = TRY(r.u64("xattrs"));
  return Reply(std::move(m));
}

void put(WireWriter& w, const Collected& m) {
  w.u64(m.files);
  w.u64(m.folders);
  w.u64(m.links);
  w.u64(m.bytes);
  for (const std::uint64_t count : m.skipped) w.u64(count);
  w.count("skips", m.skips.size(), kMaxListedSkips);
  for (const Skip& skip : m.skips) {
    w.enumerator(skip.reason);
    w.bytes("path", skip.path, kMaxSkippedPathBytes);
  }
}
Result<Reply> take_collected(WireReader& r) {
  Collected m;
  m.files = TRY(r.u64("files"));
  m.folders = TRY(r.u64("folders"));
  m.links = TRY(r.u64("links"));
  m.bytes = TRY(r.u64("bytes"));
  for (std::uint64_t& count : m.skipped) count = TRY(r.u64("skipped"));
  const std::size_t skips = TRY(r.count("skips", kMaxListedSkips, 5));
  for (std::size_t i = 0; i < skips; ++i) {
    Skip skip;
    skip.reason = TRY(r.enumerator("reason", SkipReason::unreadable));
    skip.path = TRY(r.bytes("path", kMaxSkippedPathBytes));
    m.skips.push_back(std::move(skip));
  }
  return Reply(std::move(m));
}

void put(WireWriter& w, const Verified& m) {
  w.boolean(m.intact);
  w.bytes("difference", m.difference, kMaxDifferenceBytes);
}
Result<Reply> take_verified(WireReader& r) {
  Verified m;
  m.intact = TRY(r.boolean("intact"));
  m.difference = TRY(r.bytes("difference", kMaxDifferenceBytes));
  return Reply(std::move(m));
}

Result<Reply> take_layer_info(WireReader& r) { return Reply(TRY(take_layer(r))); }

void put(WireWriter& w, const LayerPage& m) {
  w.count("layers", m.layers.size(), kMaxLayersPerPage);
  for (const LayerInfo& layer : m.layers) put(w, layer);
  w.boolean(m.more);
}
Result<Reply> take_layer_page(WireReader& r) {
  LayerPage m;
  const std::size_t layers = TRY(r.count("layers", kMaxLayersPerPage, kMaxDigestBytes + 20));
  for (std::size_t i = 0; i < layers; ++i) m.layers.push_back(TRY(take_layer(r)));
  m.more = TRY(r.boolean("more"));
  return Reply(std::move(m));
}

void put(WireWriter&, const Done&) {}
Result<Reply> take_done(WireReader&) { return Reply(Done{}); }
void put(WireWriter& w, const Failed& m) {
  w.enumerator(m.code);
  w.bytes("message", m.message, kMaxFailureBytes);
  w.i32(m.sys);
}
Result<Reply> take_failed(WireReader& r) {
  Failed m;
  m.code = TRY(r.enumerator("code", Errc::internal));
  m.message = TRY(r.bytes("message", kMaxFailureBytes));
  m.sys = TRY(r.i32("sys"));
  return Reply(std::move(m));
}

void put(WireWriter& w, const Opened& m) { w.u64(m.size); }
Result<Reply> take_opened(WireReader& r) { return Reply(Opened{TRY(r.u64("size"))}); }

Result<Reply> take_reply_hello(WireReader& r) { return Reply(TRY(take_hello(r))); }

constexpr Result<Reply> (*kReplies[])(WireReader&) = {
    take_reply_hello, take_progress,   take_imported, take_collected, take_verified,
    take_layer_info,  take_layer_page, take_done,     take_failed,    take_opened};
static_assert(std::size(kReplies) == std::variant_size_v<Reply>);

template <class Message>
Result<std::string> encode_message(const Message& message) {
  WireWriter w;
  w.u8(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& m) { put(w, m); }, message);
  return w.finish();
}

template <class Message, std::size_t N>
Result<Message> decode_message(std::string_view bytes,
                               Result<Message> (*const (&takers)[N])(WireReader&)) {
  WireReader r(bytes);
  const std::uint8_t type = TRY(r.u8("type"));
  if (type >= N)
    return Error{Errc::invalid, "message field type: unknown message " + std::to_string(type)};
  Message message = TRY(takers[type](r));
  TRY(r.finish());
  return message;
}

}  // namespace

Result<std::string> encode(const Request& request) { return encode_message(request); }
Result<std::string> encode(const Reply& reply) { return encode_message(reply); }
Result<Request> decode_request(std::string_view message) {
  return decode_message(message, kRequests);
}
Result<Reply> decode_reply(std::string_view message) { return decode_message(message, kReplies); }

}  // namespace tare::snapshot
