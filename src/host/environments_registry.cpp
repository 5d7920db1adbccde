// Environments: from registries and into registries. tared itself connects to nobody: a build runs
// tare-registry, which speaks with the registry in a sandbox; the image comes out of its stdout, or
// goes into its stdin (docs/decisions/0009-registries.md).
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/text.h"
#include "host/environments.h"
#include "host/image_limits.h"
#include "snapshot/client.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::host {

namespace {

constexpr std::size_t kMaxProgramBytes = std::size_t{64} << 20;
constexpr const char* kProgram = "tare-registry";
// Inputs are not programs: it is copied.
constexpr const char* kScript = R"sh(
set -eu
cp /input/tare-registry /tmp/tare-registry
chmod 755 /tmp/tare-registry
exec /tmp/tare-registry "$@"
)sh";
constexpr model::Limits kRegistryLimits = {
    .memory_bytes = 512 * kMiB,
    .cpu_millis = 1000,
    .pids = 32,
    .disk_bytes = 256 * kMiB,
    .disk_inodes = 1000,
    .output_bytes = 0,
    .time_ms = 2 * 60 * 60 * 1000,
    .open_files = 64,
};

// Read, hashed and stored on a thread that may wait for it: it is large.
Result<model::InputFile> registry_program(runs::Blobs& blobs, fiber::Offload& offload,
                                          const fiber::Context& ctx) {
  std::string program, digest;
  TRY(offload.run(
      [&]() -> Result<> {
        program = TRY(sys::read_program_beside(kProgram, kMaxProgramBytes));
        digest = sha256_text(program);
        return ok();
      },
      ctx));
  if (blobs.renew(digest)) return model::InputFile{kProgram, digest, program.size()};
  auto writer = TRY(blobs.create(digest, kMaxProgramBytes));
  TRY(offload.run(
      [&]() -> Result<> {
        TRY(writer.write(std::string_view(program)));
        TRY(writer.finish());
        return ok();
      },
      ctx));
  return model::InputFile{kProgram, digest, program.size()};
}

model::RunRequest registry_run(std::string_view verb, const RegistryPlace& place,
                               const std::string& platform, model::InputFile program) {
  model::RunRequest request;
  request.environment = "host";
  request.argv = {"sh",
                  "-c",
                  kScript,
                  kProgram,
                  std::string(verb),
                  place.image.text(),
                  platform.empty() ? "-" : platform};
  if (place.insecure_http) request.argv.emplace_back("--insecure-http");
  request.user = "root";
  request.profile = "build";
  request.limits = kRegistryLimits;
  request.with_stdin = true;
  request.inputs = {std::move(program)};
  return request;
}

// The first line of tare-registry's stdin.
std::string credentials_line(const RegistryPlace& place) {
  JsonObject line;
  if (!place.user.empty()) line["user"] = place.user;
  if (!place.password.empty()) line["password"] = place.password;
  if (!place.authority.empty()) line["authority"] = place.authority;
  return to_text(Json(std::move(line))) + "\n";
}

}  // namespace

Result<BuildAnswer> Environments::pull(PullRequest request, runs::Blobs& blobs,
                                       const fiber::Context& ctx) {
  TRY(check_environment_name(request.name));
  if (!request.platform.empty()) TRY(snapshot::parse_platform(request.platform));
  TRY(deps_.records.run([&](runs::Store& store) { return refuse_if_taken(store, request.name); }));
  model::Environment environment;
  environment.tenant = kTenant;
  environment.name = request.name;
  environment.source = "oci:" + request.from.image.text();
  environment.state = model::EnvironmentState::building;
  environment.created_ms = deps_.clock.wall_ms();
  environment.reproducible = !request.from.image.digest.empty();  // a tag may move

  NewRun wanted;
  wanted.request = registry_run("pull", request.from, request.platform,
                                TRY(registry_program(blobs, deps_.offload, ctx)));
  wanted.purpose = Purpose::build;
  wanted.image = std::move(environment);
  wanted.archive = snapshot::ImportImage{.format = snapshot::ImageFormat::image,
                                         .platform = request.platform,
                                         .limits = kImportLimits,
                                         .timeout_ms = kImportTimeoutMs};
  wanted.feed = [line = credentials_line(request.from)](sys::UniqueFd pipe,
                                                        const fiber::Context&) -> Result<> {
    TRY(sys::set_nonblocking(pipe.get(), false));
    return sys::write_all(pipe.get(), line);
  };
  auto created = TRY(runs_.create(std::move(wanted)));
  return BuildAnswer{.ready = {}, .build = std::move(created.run), .ref = request.name};
}

Result<model::Run> Environments::push(std::string_view reference, RegistryPlace to,
                                      runs::Blobs& blobs, const fiber::Context& ctx) {
  if (!to.image.digest.empty())
    return field_error("image", "a push needs a tag: the digest follows from the environment");
  const model::Environment environment = TRY(find(reference));
  if (environment.state != model::EnvironmentState::ready || environment.layers.empty()) {
    return Error{Errc::invalid, fmt::format("environment {} has no layers: nothing to push",
                                            quote(environment.name))};
  }
  NewRun wanted;
  wanted.request = registry_run("push", to, {}, TRY(registry_program(blobs, deps_.offload, ctx)));
  wanted.purpose = Purpose::build;
  wanted.feed = [this, environment, line = credentials_line(to)](
                    sys::UniqueFd pipe, const fiber::Context& task) -> Result<> {
    const auto reading = deps_.layers.read();  // it does not go before it has been read
    TRY(sys::set_nonblocking(pipe.get(), false));
    TRY(sys::write_all(pipe.get(), line));
    TRY(write_archive(environment, ExportRequest{}, std::move(pipe), task));
    return ok();
  };
  return TRY(runs_.create(std::move(wanted))).run;
}

}  // namespace tare::host
