#include "model/limits_json.h"

#include <fmt/core.h>

#include "base/limits.h"

namespace tare::model {

namespace {

using B = LimitBounds;

Result<> check(std::string_view field, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return ok();
  return field_error(field,
                     fmt::format("{} is out of range: allowed are {} to {}", value, min, max));
}

auto count() { return integer<std::uint64_t>(0, kMaxCount); }

}  // namespace

Json to_json(const Limits& limits) {
  return JsonObject{
      {"memory_bytes", limits.memory_bytes},
      {"cpu_millis", limits.cpu_millis},
      {"pids", limits.pids},
      {"disk_bytes", limits.disk_bytes},
      {"disk_inodes", limits.disk_inodes},
      {"output_bytes", limits.output_bytes},
      {"time_ms", limits.time_ms},
      {"open_files", limits.open_files},
  };
}

Result<Limits> read_limits(const Node& node) { return read_limits_over(node, Limits{}); }

Result<Limits> read_limits_over(const Node& node, const Limits& base) {
  Limits limits = base;
  Fields fields(node);
  fields.optional("memory_bytes", limits.memory_bytes,
                  integer<std::uint64_t>(B::kMemoryMin, B::kMemoryMax));
  fields.optional("cpu_millis", limits.cpu_millis, integer<std::uint32_t>(B::kCpuMin, B::kCpuMax));
  fields.optional("pids", limits.pids, integer<std::uint32_t>(B::kPidsMin, B::kPidsMax));
  fields.optional("disk_bytes", limits.disk_bytes,
                  integer<std::uint64_t>(B::kDiskMin, B::kDiskMax));
  fields.optional("disk_inodes", limits.disk_inodes,
                  integer<std::uint64_t>(B::kInodesMin, B::kInodesMax));
  fields.optional("output_bytes", limits.output_bytes, integer<std::uint64_t>(0, B::kOutputMax));
  fields.optional("time_ms", limits.time_ms, integer<std::uint64_t>(0, B::kTimeMaxMs));
  fields.optional("open_files", limits.open_files,
                  integer<std::uint32_t>(B::kOpenFilesMin, B::kOpenFilesMax));
  TRY(fields.finish());
  return limits;
}

Result<> check_limits(const Limits& limits) {
  TRY(check("limits.memory_bytes", limits.memory_bytes, B::kMemoryMin, B::kMemoryMax));
  TRY(check("limits.cpu_millis", limits.cpu_millis, B::kCpuMin, B::kCpuMax));
  TRY(check("limits.pids", limits.pids, B::kPidsMin, B::kPidsMax));
  TRY(check("limits.disk_bytes", limits.disk_bytes, B::kDiskMin, B::kDiskMax));
  TRY(check("limits.disk_inodes", limits.disk_inodes, B::kInodesMin, B::kInodesMax));
  TRY(check("limits.output_bytes", limits.output_bytes, 0, B::kOutputMax));
  TRY(check("limits.time_ms", limits.time_ms, 0, B::kTimeMaxMs));
  return check("limits.open_files", limits.open_files, B::kOpenFilesMin, B::kOpenFilesMax);
}

Json to_json(const Usage& usage) {
  return JsonObject{
      {"cpu_us", usage.cpu_us},
      {"memory_peak_bytes", usage.memory_peak_bytes},
      {"read_bytes", usage.read_bytes},
      {"written_bytes", usage.written_bytes},
      {"stdout_bytes", usage.stdout_bytes},
      {"stderr_bytes", usage.stderr_bytes},
      {"start_us", usage.start_us},
      {"wall_us", usage.wall_us},
      {"cpu_throttled_us", usage.cpu_throttled_us},
      {"denied_calls", usage.denied_calls},
      {"processes_refused", usage.processes_refused},
      {"disk_full", usage.disk_full},
      {"inodes_full", usage.inodes_full},
  };
}

Result<Usage> read_usage(const Node& node) {
  Usage usage;
  Fields fields(node);
  fields.optional("cpu_us", usage.cpu_us, count());
  fields.optional("memory_peak_bytes", usage.memory_peak_bytes, count());
  fields.optional("read_bytes", usage.read_bytes, count());
  fields.optional("written_bytes", usage.written_bytes, count());
  fields.optional("stdout_bytes", usage.stdout_bytes, count());
  fields.optional("stderr_bytes", usage.stderr_bytes, count());
  fields.optional("start_us", usage.start_us, count());
  fields.optional("wall_us", usage.wall_us, count());
  fields.optional("cpu_throttled_us", usage.cpu_throttled_us, count());
  fields.optional("denied_calls", usage.denied_calls, count());
  fields.optional("processes_refused", usage.processes_refused, count());
  fields.optional("disk_full", usage.disk_full, boolean());
  fields.optional("inodes_full", usage.inodes_full, boolean());
  TRY(fields.finish());
  return usage;
}

}  // namespace tare::model
