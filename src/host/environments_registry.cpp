// Environments: from registries and into registries. tared itself connects to nobody: a build runs
// tare-registry, which speaks with the registry in a sandbox; the image comes out of its stdout, or
// goes into its stdin (docs/decisions/0009-registries.md).
#include <fmt/format.h>

#include "base/text.h"
#include "host/environments.h"
#include "host/image_limits.h"
#include "host/pipe_write.h"
#include "host/registry_run.h"
#include "snapshot/client.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::host {

namespace {

constexpr std::size_t kMaxProgramBytes = std::size_t{64} << 20;
// Read, hashed and stored on a thread that may wait for it: it is large.
Result<model::InputFile> registry_program(runs::Blobs& blobs, fiber::Offload& offload,
                                          const fiber::Context& ctx) {
  std::string program, digest;
  TRY(offload.run(
      [&]() -> Result<> {
        program = TRY(sys::read_program_beside(kRegistryProgram, kMaxProgramBytes));
        digest = sha256_text(program);
        return ok();
      },
      ctx));
  if (blobs.renew(digest)) return model::InputFile{kRegistryProgram, digest, program.size()};
  auto writer = TRY(blobs.create(digest, kMaxProgramBytes));
  TRY(offload.run(
      [&]() -> Result<> {
        TRY(writer.write(std::string_view(program)));
        TRY(writer.finish());
        return ok();
      },
      ctx));
  return model::InputFile{kRegistryProgram, digest, program.size()};
}

// The first line of tare-registry's stdin.
std::string credentials_line(const RegistryPlace& place) {
  JsonObject line;
  if (!place.user.empty()) line["user"] = place.user;
  if (!place.password.empty()) line["password"] = place.password;
  if (!place.authority.empty()) line["authority"] = place.authority;
  return to_text(Json(std::move(line))) + "\n";
}

// One that reads no more says why itself.
Result<> give_credentials(int pipe, const std::string& line, const fiber::Context& ctx) {
  std::uint64_t given = 0;
  TRY(write_pipe(pipe, line, given, ctx));
  return ok();
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

  NewRun wanted;
  wanted.request = registry_run("pull", request.from.image, request.from.insecure_http,
                                request.platform, TRY(registry_program(blobs, deps_.offload, ctx)));
  wanted.request.about = fmt::format("env pull {} --name {}", request.from.image.text(),
                                     request.name);
  wanted.purpose = Purpose::build;
  wanted.image = std::move(environment);
  // Somebody may have taken the name meanwhile.
  wanted.condition = [name = request.name](runs::Store& store) {
    return refuse_if_taken(store, name);
  };
  wanted.archive = snapshot::ImportImage{.format = snapshot::ImageFormat::image,
                                         .platform = request.platform,
                                         .limits = kImportLimits,
                                         .timeout_ms = kImportTimeoutMs};
  wanted.feed = [line = credentials_line(request.from)](sys::UniqueFd pipe,
                                                        const fiber::Context& task) {
    return give_credentials(pipe.get(), line, task);
  };
  auto created = TRY(runs_.create(std::move(wanted)));
  return BuildAnswer{.ready = {}, .build = std::move(created.run), .ref = request.name};
}

Result<model::Run> Environments::push(std::string_view reference, RegistryPlace to,
                                      runs::Blobs& blobs, const fiber::Context& ctx) {
  if (!to.image.digest.empty())
    return field_error("image", "a push needs a tag: the digest follows from the environment");
  auto found = TRY(find_leased(reference));  // it does not go before it has been read
  const model::Environment& environment = found.environment;
  if (environment.state != model::EnvironmentState::ready || environment.layers.empty()) {
    return Error{Errc::invalid, no_layers(environment, "push")};
  }
  TRY(refuse_secrets(deps_.secrets, deps_.store, environment.layers, environment.config, ctx));
  NewRun wanted;
  wanted.request = registry_run("push", to.image, to.insecure_http, {},
                                TRY(registry_program(blobs, deps_.offload, ctx)));
  wanted.request.about = fmt::format("env push {} {}", environment.name, to.image.text());
  wanted.purpose = Purpose::build;
  wanted.feed = [this, line = credentials_line(to),
                 kept = std::make_shared<LeasedEnvironment>(std::move(found))](
                    sys::UniqueFd pipe, const fiber::Context& task) -> Result<> {
    TRY(give_credentials(pipe.get(), line, task));
    TRY(sys::set_nonblocking(pipe.get(), false));  // for the store, which may wait
    TRY(write_archive(kept->environment, ExportRequest{}, std::move(pipe), task));
    return ok();
  };
  return TRY(runs_.create(std::move(wanted))).run;
}

}  // namespace tare::host
