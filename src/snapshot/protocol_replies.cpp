// The replies of protocol.h on the wire.
#include "snapshot/protocol_fields.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kMaxDifferenceBytes = 16 * 1024;

void put_layers(WireWriter& w, const std::vector<LayerInfo>& layers, std::size_t most) {
  w.count("layers", layers.size(), most);
  for (const LayerInfo& layer : layers) put(w, layer);
}
Result<std::vector<LayerInfo>> take_layers(WireReader& r, std::size_t most) {
  std::vector<LayerInfo> layers;
  const std::size_t count = TRY(r.count("layers", most, kDigestTextBytes + 20));
  for (std::size_t i = 0; i < count; ++i) layers.push_back(TRY(take_layer(r)));
  return layers;
}

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
  put(w, m.dropped);
  put_paths(w, "cut", m.cut);
}
Result<Reply> take_imported(WireReader& r) {
  Imported m;
  m.layer = TRY(take_layer(r));
  m.reused = TRY(r.boolean("reused"));
  m.dropped = TRY(take_counts(r));
  m.cut = TRY(take_paths(r, "cut"));
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
  put_layers(w, m.layers, kMaxLayersPerPage);
  w.boolean(m.more);
}
Result<Reply> take_layer_page(WireReader& r) {
  LayerPage m;
  m.layers = TRY(take_layers(r, kMaxLayersPerPage));
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

void put(WireWriter& w, const ImageImported& m) {
  put_layers(w, m.layers, kMaxImageLayers);
  w.enumerator(m.kind);
  put_config(w, m.config);
  put(w, m.dropped);
}
Result<Reply> take_image_imported(WireReader& r) {
  ImageImported m;
  m.layers = TRY(take_layers(r, kMaxImageLayers));
  m.kind = TRY(r.enumerator("kind", ImageKind::docker));
  m.config = TRY(take_config(r));
  m.dropped = TRY(take_counts(r));
  return Reply(std::move(m));
}

void put(WireWriter& w, const Exported& m) {
  w.u64(m.bytes);
  w.text("digest", m.digest, kDigestTextBytes);
}
Result<Reply> take_exported(WireReader& r) {
  Exported m;
  m.bytes = TRY(r.u64("bytes"));
  m.digest = TRY(take_digest(r));
  return Reply(std::move(m));
}

void put(WireWriter& w, const Strays& m) {
  w.count("paths", m.paths.size(), kMaxListedStrays);
  for (const std::string& path : m.paths) w.bytes("path", path, kMaxStrayBytes);
  w.u64(m.total);
}
Result<Reply> take_strays(WireReader& r) {
  Strays m;
  const std::size_t count = TRY(r.count("paths", kMaxListedStrays, 4));
  for (std::size_t i = 0; i < count; ++i) m.paths.push_back(TRY(r.bytes("path", kMaxStrayBytes)));
  m.total = TRY(r.u64("total"));
  return Reply(std::move(m));
}

Result<Reply> take_reply_hello(WireReader& r) { return Reply(TRY(take_hello(r))); }

constexpr Result<Reply> (*kReplies[])(WireReader&) = {
    take_reply_hello,    take_progress,   take_imported, take_collected, take_verified,
    take_layer_info,     take_layer_page, take_done,     take_failed,    take_opened,
    take_image_imported, take_exported,   take_strays};
static_assert(std::size(kReplies) == std::variant_size_v<Reply>);

}  // namespace

Result<std::string> encode(const Reply& reply) {
  return encode_message(reply, [](WireWriter& w, const auto& m) { put(w, m); });
}
Result<Reply> decode_reply(std::string_view message) { return decode_message(message, kReplies); }

}  // namespace tare::snapshot
