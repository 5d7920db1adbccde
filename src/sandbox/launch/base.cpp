#include "sandbox/launch/base.h"

#include "base/hash.h"
#include "base/limits.h"

namespace tare::sandbox {

namespace {

void put_limits(WireWriter& out, const model::Limits& limits) {
  out.u64(limits.memory_bytes);
  out.u32(limits.cpu_millis);
  out.u32(limits.pids);
  out.u64(limits.disk_bytes);
  out.u64(limits.disk_inodes);
  out.u64(limits.output_bytes);
  out.u64(limits.time_ms);
  out.u32(limits.open_files);
}

template <class Number>
Result<Number> bounded(Result<Number> value, std::string_view field, Number least, Number most) {
  const Number number = TRY(std::move(value));
  if (number >= least && number <= most) return number;
  return Error{Errc::invalid, std::string(field) + ": " + std::to_string(number) +
                                  " is not within " + std::to_string(least) + " and " +
                                  std::to_string(most)};
}

Result<model::Limits> take_limits(WireReader& in) {
  using B = model::LimitBounds;
  model::Limits limits;
  limits.memory_bytes = TRY(bounded(in.u64("memory"), "memory", B::kMemoryMin, B::kMemoryMax));
  limits.cpu_millis = TRY(bounded(in.u32("cpu"), "cpu", B::kCpuMin, B::kCpuMax));
  limits.pids = TRY(bounded(in.u32("pids"), "pids", B::kPidsMin, B::kPidsMax));
  limits.disk_bytes = TRY(bounded(in.u64("disk"), "disk", B::kDiskMin, B::kDiskMax));
  limits.disk_inodes = TRY(bounded(in.u64("inodes"), "inodes", B::kInodesMin, B::kInodesMax));
  limits.output_bytes = TRY(bounded(in.u64("output"), "output", std::uint64_t{0}, B::kOutputMax));
  limits.time_ms = TRY(bounded(in.u64("time"), "time", std::uint64_t{0}, B::kTimeMaxMs));
  limits.open_files = TRY(
      bounded(in.u32("open_files"), "open_files", B::kOpenFilesMin, B::kOpenFilesMax));
  return limits;
}

}  // namespace

std::vector<std::string> SandboxBase::digests() const {
  std::vector<std::string> all = layers;
  if (!runner.empty()) all.push_back(runner);
  return all;
}

std::string key_of(const SandboxBase& base) {
  std::string key = base.plan + (base.host_root ? " host" : " image");
  if (base.output_in_root) key += " session";
  if (base.network == model::Network::host) key += " network";
  if (model::scratch_of(base.limits) == model::Scratch::image) {
    key += " disk " + std::to_string(base.limits.disk_bytes) + " " +
           std::to_string(base.limits.disk_inodes);
  }
  for (const std::string& digest : base.layers) key += " " + digest;
  if (!base.runner.empty()) key += " runner " + base.runner;
  return key;
}

void put_digests(WireWriter& out, const std::vector<std::string>& digests, std::string_view field) {
  out.count(field, digests.size(), kMaxLayers);
  for (const std::string& digest : digests) out.text(field, digest, kDigestTextBytes);
}

Result<std::vector<std::string>> take_digests(WireReader& in, std::string_view field) {
  const std::size_t count = TRY(in.count(field, kMaxLayers, 4 + kDigestTextBytes));
  std::vector<std::string> digests;
  for (std::size_t i = 0; i < count; ++i) {
    digests.push_back(TRY(in.text(field, kDigestTextBytes)));
    if (!is_digest(digests.back()))
      return Error{Errc::invalid, std::string(field) + ": not a digest"};
  }
  return digests;
}

void put_base(WireWriter& out, const SandboxBase& base) {
  out.text("plan", base.plan, kDigestTextBytes);
  out.boolean(base.host_root);
  out.boolean(base.output_in_root);
  put_digests(out, base.layers, "layers");
  out.enumerator(base.network);
  put_limits(out, base.limits);
  out.text("runner", base.runner, kDigestTextBytes);
}

Result<SandboxBase> take_base(WireReader& in) {
  SandboxBase base;
  base.plan = TRY(in.text("plan", kDigestTextBytes));
  if (!is_digest(base.plan)) return Error{Errc::invalid, "plan: not a digest"};
  base.host_root = TRY(in.boolean("host_root"));
  base.output_in_root = TRY(in.boolean("output_in_root"));
  base.layers = TRY(take_digests(in, "layers"));
  if (!base.host_root && base.layers.empty())
    return Error{Errc::invalid, "layers: none, and not host_root"};
  base.network = TRY(in.enumerator("network", model::Network::host));
  base.limits = TRY(take_limits(in));
  base.runner = TRY(in.text("runner", kDigestTextBytes));
  if (!base.runner.empty() && !is_digest(base.runner))
    return Error{Errc::invalid, "runner: not a digest"};
  return base;
}

}  // namespace tare::sandbox
