#include "host/debian_build.h"

#include "base/bytes.h"

namespace tare::host {

namespace {

constexpr model::Limits kBuildLimits = {
    .memory_bytes = 2 * kGiB,
    .cpu_millis = 2000,
    .pids = 1024,
    .disk_bytes = 6 * kGiB,
    .disk_inodes = 1'000'000,
    .output_bytes = 0,
    .time_ms = 30 * 60 * 1000,
    .open_files = 4096,
};

}  // namespace

Result<model::RunRequest> debian_build(const model::EnvironmentSource& source) {
  CHECK(source.kind == model::EnvironmentSource::Kind::debian);
  model::RunRequest request;
  request.environment = "host";
  request.argv = {"mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"};
  if (!source.packages.empty()) {
    std::string include = "--include=";
    for (const std::string& package : source.packages) include += package + ",";
    include.pop_back();
    request.argv.push_back(std::move(include));
  }
  request.argv.insert(request.argv.end(), {source.suite, "-"});
  request.user = "root";
  request.profile = "build";
  request.limits = kBuildLimits;
  return request;
}

}  // namespace tare::host
