#include "host/registry_run.h"

#include "base/bytes.h"

namespace tare::host {

namespace {

constexpr const char* kEnvironment = "host";
constexpr const char* kProfile = "build";
constexpr std::size_t kNameAt = 3, kVerbAt = 4;  // in argv
// Inputs are not programs: it is copied.
constexpr const char* kScript = R"sh(
set -eu
cp /input/tare-registry /tmp/tare-registry
chmod 755 /tmp/tare-registry
exec /tmp/tare-registry "$@"
)sh";
// Its words are a registry's, in part: they are bounded.
constexpr model::Limits kLimits = {
    .memory_bytes = 512 * kMiB,
    .cpu_millis = 1000,
    .pids = 32,
    .disk_bytes = 256 * kMiB,
    .disk_inodes = 1000,
    .output_bytes = 1 * kMiB,
    .time_ms = 2 * 60 * 60 * 1000,
    .open_files = 64,
};

}  // namespace

model::RunRequest registry_run(std::string_view verb, const model::ImageReference& image,
                               bool insecure_http, const std::string& platform,
                               model::InputFile program) {
  model::RunRequest request;
  request.environment = kEnvironment;
  request.argv = {"sh",
                  "-c",
                  kScript,
                  kRegistryProgram,
                  std::string(verb),
                  image.text(),
                  platform.empty() ? "-" : platform};
  if (insecure_http) request.argv.emplace_back("--insecure-http");
  request.user = "root";
  request.profile = kProfile;
  request.limits = kLimits;
  request.with_stdin = true;
  request.inputs = {std::move(program)};
  return request;
}

// Not by the script: an earlier version's may have been another.
std::string registry_verb(const model::RunRequest& request) {
  const auto& argv = request.argv;
  const bool is_one = request.environment == kEnvironment && request.profile == kProfile &&
                      request.with_stdin && argv.size() > kVerbAt &&
                      argv[kNameAt] == kRegistryProgram &&
                      (argv[kVerbAt] == "pull" || argv[kVerbAt] == "push") &&
                      request.inputs.size() == 1 && request.inputs.front().name == kRegistryProgram;
  return is_one ? argv[kVerbAt] : std::string();
}

std::string orphaned_by_restart(const model::RunRequest& request) {
  const std::string verb = registry_verb(request);
  return verb.empty() ? verb : "tared was restarted while it " + verb + "ed: try again";
}

}  // namespace tare::host
