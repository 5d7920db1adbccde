// The requests of protocol.h on the wire.
#include "base/limits.h"
#include "snapshot/paths.h"
#include "snapshot/protocol_fields.h"

namespace tare::snapshot {

namespace {

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

void put(WireWriter& w, const ImportFiles& m) {
  w.u32(m.files);
  w.enumerator(m.of);
}
Result<Request> take_import_files(WireReader& r) {
  ImportFiles m;
  m.files = TRY(r.u32("files"));
  m.of = TRY(r.enumerator("of", FilesOf::runner));
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

void put(WireWriter& w, const VerifyLayer& m) { w.text("digest", m.digest, kDigestTextBytes); }
Result<Request> take_verify(WireReader& r) { return Request(VerifyLayer{TRY(take_digest(r))}); }
void put(WireWriter& w, const StatLayer& m) { w.text("digest", m.digest, kDigestTextBytes); }
Result<Request> take_stat(WireReader& r) { return Request(StatLayer{TRY(take_digest(r))}); }
void put(WireWriter& w, const RemoveLayer& m) { w.text("digest", m.digest, kDigestTextBytes); }
Result<Request> take_remove(WireReader& r) { return Request(RemoveLayer{TRY(take_digest(r))}); }

void put(WireWriter& w, const ListLayers& m) { w.text("after", m.after, kDigestTextBytes); }
Result<Request> take_list(WireReader& r) {
  ListLayers m;
  m.after = TRY(r.text("after", kDigestTextBytes));
  if (!m.after.empty() && !is_digest(m.after))
    return Error{Errc::invalid, "message field after: not a digest"};
  return Request(std::move(m));
}

void put(WireWriter& w, const RemoveRun& m) { w.text("run", m.run, kMaxRunBytes); }
Result<Request> take_remove_run(WireReader& r) { return Request(RemoveRun{TRY(take_run(r))}); }

void put(WireWriter& w, const Freeze& m) {
  put_digests(w, m.layers);
  w.u32(m.owner_base);
  w.u32(m.owner_count);
  put_paths(w, "without", m.without);
  put_paths(w, "only", m.only);
  w.boolean(m.over_base);
  w.boolean(!m.since.empty());
  if (!m.since.empty()) w.text("since", m.since, kDigestTextBytes);
  put(w, m.limits);
  w.u64(m.timeout_ms);
}
Result<Request> take_freeze(WireReader& r) {
  Freeze m;
  m.layers = TRY(take_digests(r));
  m.owner_base = TRY(r.u32("owner_base"));
  m.owner_count = TRY(r.u32("owner_count"));
  m.without = TRY(take_paths(r, "without"));
  m.only = TRY(take_paths(r, "only"));
  m.over_base = TRY(r.boolean("over_base"));
  if (TRY(r.boolean("since"))) m.since = TRY(take_digest(r));
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

void put(WireWriter& w, const OpenManifest& m) { w.text("digest", m.digest, kDigestTextBytes); }
Result<Request> take_open_manifest(WireReader& r) {
  return Request(OpenManifest{TRY(take_digest(r))});
}
void put(WireWriter& w, const OpenFile& m) {
  w.text("digest", m.digest, kDigestTextBytes);
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
  w.boolean(m.only_digest);
  put_digests(w, m.layers, m.only_digest ? kMaxExportedLayers : kMaxFrozenLayers);
  w.u32(m.kept);
  put(w, m.limits);
  w.u64(m.timeout_ms);
  put_paths(w, "without", m.without);
  w.boolean(m.over_base);
}
Result<Request> take_flatten(WireReader& r) {
  Flatten m;
  m.only_digest = TRY(r.boolean("only_digest"));
  m.layers = TRY(take_digests(r, m.only_digest ? kMaxExportedLayers : kMaxFrozenLayers));
  m.kept = TRY(r.u32("kept"));
  if (m.kept >= m.layers.size())
    return Error{Errc::invalid, "message field kept: fewer than there are layers expected"};
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  m.without = TRY(take_paths(r, "without"));
  m.over_base = TRY(r.boolean("over_base"));
  return Request(std::move(m));
}

void put(WireWriter& w, const ImportImage& m) {
  w.enumerator(m.format);
  w.text("platform", m.platform, kMaxPlatformBytes);
  w.text("reference", m.reference, kMaxReferenceBytes);
  put(w, m.limits);
  w.u64(m.timeout_ms);
}
Result<Request> take_import_image(WireReader& r) {
  ImportImage m;
  m.format = TRY(r.enumerator("format", ImageFormat::image));
  m.platform = TRY(r.text("platform", kMaxPlatformBytes));
  m.reference = TRY(r.text("reference", kMaxReferenceBytes));
  m.limits = TRY(take_limits(r));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

void put(WireWriter& w, const ExportImage& m) {
  put_digests(w, m.layers, kMaxExportedLayers);
  w.enumerator(m.format);
  put_config(w, m.config);
  w.text("reference", m.reference, kMaxReferenceBytes);
  w.u64(m.timeout_ms);
}
Result<Request> take_export_image(WireReader& r) {
  ExportImage m;
  m.layers = TRY(take_digests(r, kMaxExportedLayers));
  m.format = TRY(r.enumerator("format", ExportFormat::tree));
  m.config = TRY(take_config(r));
  m.reference = TRY(r.text("reference", kMaxReferenceBytes));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

void put(WireWriter&, const ListStrays&) {}
Result<Request> take_list_strays(WireReader&) { return Request(ListStrays{}); }

void put(WireWriter& w, const SearchLayers& m) {
  put_digests(w, m.layers, kMaxExportedLayers);
  put_config(w, m.config);
  w.boolean(m.anew);
  w.u64(m.timeout_ms);
}
Result<Request> take_search_layers(WireReader& r) {
  SearchLayers m;
  m.layers = TRY(take_digests(r, kMaxExportedLayers));
  m.config = TRY(take_config(r));
  m.anew = TRY(r.boolean("anew"));
  m.timeout_ms = TRY(take_timeout(r));
  return Request(std::move(m));
}

Result<Request> take_request_hello(WireReader& r) { return Request(TRY(take_hello(r))); }

// By the alternative's index in Request, which is also its number on the wire.
constexpr Result<Request> (*kRequests[])(WireReader&) = {
    take_request_hello, take_import_tar,    take_import_files, take_file_chunk, take_collect,
    take_verify,        take_stat,          take_remove,       take_list,       take_remove_run,
    take_freeze,        take_open_manifest, take_open_file,    take_flatten,    take_import_image,
    take_export_image,  take_list_strays,   take_search_layers};
static_assert(std::size(kRequests) == std::variant_size_v<Request>);

}  // namespace

Result<std::string> encode(const Request& request) {
  return encode_message(request, [](WireWriter& w, const auto& m) { put(w, m); });
}
Result<Request> decode_request(std::string_view message) {
  return decode_message(message, kRequests);
}

}  // namespace tare::snapshot
