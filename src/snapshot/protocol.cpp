#include "snapshot/protocol.h"

#include "base/hash.h"
#include "base/ids.h"
#include "base/limits.h"
#include "snapshot/protocol_fields.h"

namespace tare::snapshot {

std::size_t descriptors_of(const Request& request) {
  if (const auto* chunk = std::get_if<FileChunk>(&request)) return chunk->files.size();
  if (const auto* freeze = std::get_if<Freeze>(&request)) return freeze->over_base ? 4 : 3;
  if (const auto* flatten = std::get_if<Flatten>(&request)) return flatten->over_base ? 1 : 0;
  if (std::holds_alternative<ImportTar>(request) || std::holds_alternative<ImportImage>(request))
    return 2;
  const bool one = std::holds_alternative<ImportFiles>(request) ||
                   std::holds_alternative<ExportImage>(request) ||
                   std::holds_alternative<Collect>(request) ||
                   std::holds_alternative<SearchLayers>(request);
  return one ? 1 : 0;
}
std::size_t descriptors_of(const Reply& reply) {
  return std::holds_alternative<Opened>(reply) ? 1 : 0;
}

// ---- Fields that several messages share ----

namespace {

constexpr std::size_t kMaxProgramBytes = 128;

}  // namespace

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
  std::string digest = TRY(r.text("digest", kDigestTextBytes));
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

void put_digests(WireWriter& w, const std::vector<std::string>& layers, std::size_t most) {
  w.count("layers", layers.size(), most);
  for (const std::string& layer : layers) w.text("digest", layer, kDigestTextBytes);
}
Result<std::vector<std::string>> take_digests(WireReader& r, std::size_t most) {
  std::vector<std::string> layers;
  const std::size_t count = TRY(r.count("layers", most, 4));
  for (std::size_t i = 0; i < count; ++i) layers.push_back(TRY(take_digest(r)));
  return layers;
}

void put_config(WireWriter& w, const model::ImageConfig& config) {
  for (const auto* list : {&config.entrypoint, &config.cmd, &config.env}) {
    w.count("config", list->size(), kMaxArgs);
    for (const std::string& text : *list) w.text("config", text, model::kMaxImageConfigBytes);
  }
  w.text("config.user", config.user, model::kMaxImageUserBytes);
  w.u32(config.uid);
  w.u32(config.gid);
  w.text("config.workdir", config.workdir, kMaxPathBytes);
}
Result<model::ImageConfig> take_config(WireReader& r) {
  model::ImageConfig config;
  for (auto* list : {&config.entrypoint, &config.cmd, &config.env}) {
    const std::size_t count = TRY(r.count("config", kMaxArgs, 4));
    for (std::size_t i = 0; i < count; ++i)
      list->push_back(TRY(r.text("config", model::kMaxImageConfigBytes)));
  }
  config.user = TRY(r.text("config.user", model::kMaxImageUserBytes));
  config.uid = TRY(r.u32("config.uid"));
  config.gid = TRY(r.u32("config.gid"));
  config.workdir = TRY(r.text("config.workdir", kMaxPathBytes));
  TRY(model::check_image_config(config).context("message field config"));
  return config;
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

void put(WireWriter& w, const TarCounts& dropped) {
  w.u64(dropped.devices);
  w.u64(dropped.specials);
  w.u64(dropped.xattrs);
}
Result<TarCounts> take_counts(WireReader& r) {
  TarCounts dropped;
  dropped.devices = TRY(r.u64("devices"));
  dropped.specials = TRY(r.u64("specials"));
  dropped.xattrs = TRY(r.u64("xattrs"));
  return dropped;
}

void put(WireWriter& w, const LayerInfo& layer) {
  w.text("digest", layer.digest, kDigestTextBytes);
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

}  // namespace tare::snapshot
