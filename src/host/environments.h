// Environments by name, and building them. A build is a run of the `host` environment whose stdout,
// a tar stream, goes into the store; the record of the environment and the run's own are stored
// together.
//
// Owner: main. Loop thread only. Errors: Errc::not_found with the command that builds it; conflict
// for a name that stands for something else.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/run_service.h"
#include "host/standing_upper.h"
#include "model/environment.h"
#include "model/image_reference.h"

namespace tare::host {

// What a run stands on.
struct ResolvedEnvironment {
  std::string reference;                 // as asked for, canonical
  std::string digest;                    // "" for host
  std::vector<std::string> layers = {};  // when they are not just the one of the digest
  model::ImageConfig config = {};
};

struct BuildRequest {
  std::string source;
  std::string name;  // "" for the canonical text of the source
  bool rebuild = false;
};
// By commands: what they change in `from` becomes a layer above it.
struct BuildFromRequest {
  std::string from;
  std::string name;
  std::vector<std::string> argv, env;
  model::Limits limits;  // model::build_limits() unless asked for otherwise
  bool network = false;  // the host's
  bool rebuild = false;
};

// What is made of an archive that somebody sends.
struct ImportRequest {
  std::string name;
  snapshot::ImageFormat format = snapshot::ImageFormat::any;
  std::string platform = {};   // "linux/arm64"; "": this machine's
  std::string reference = {};  // which image of the archive, by name; "": the only one
};

// Its layers stay, whatever becomes of the name.
struct LeasedEnvironment {
  model::Environment environment;
  LayerGate::Lease lease;
};

struct ExportRequest {
  snapshot::ExportFormat format = snapshot::ExportFormat::oci;
  std::string reference = {};  // its name in the archive
};

// Where an image lies, and how to get in. The credentials are passed on to tare-registry and kept
// nowhere.
struct RegistryPlace {
  model::ImageReference image;
  bool insecure_http = false;
  std::string user = {}, password = {};
  std::string authority = {};  // certificates in PEM to trust besides the system's
};
struct PullRequest {
  RegistryPlace from;
  std::string name;
  std::string platform = {};
};

struct BuildAnswer {
  std::optional<model::Environment> ready;  // nothing to do
  model::Run build = {};
  std::string ref = {};
};

// Why there is nothing of it to export, push or verify, and what to do.
std::string no_layers(const model::Environment& environment, std::string_view verb);
// One that people may give: not `host`, nor the source or digest of another.
Result<> check_environment_name(const std::string& name);
// Conflict when it stands for one already that is ready or being built. `fix`: what can be done.
Result<> refuse_if_taken(runs::Store& store, const std::string& name,
                         std::string_view fix = "choose another name");

class Environments {
 public:
  Environments(const RunDeps& deps, RunService& runs) : deps_(deps), runs_(runs) {}

  // Ready to run, or an error that names the fix.
  Result<ResolvedEnvironment> resolve(std::string_view reference);
  // Whatever its state. `host` is always there.
  Result<model::Environment> find(std::string_view reference);
  Result<LeasedEnvironment> find_leased(std::string_view reference);
  // By name; `source`: only those made from that text, "" for all.
  Result<std::vector<model::Environment>> list(std::string_view source);
  Result<BuildAnswer> build(const BuildRequest& request);
  Result<BuildAnswer> build_from(const BuildFromRequest& request);
  // One that stands for the same until something is built or frozen upon it; `tag` with a source
  // that says where it comes from.
  Result<model::Environment> fork(std::string_view reference, const std::string& name);
  // From a registry, by a build that runs tare-registry; `blobs` is how that gets there.
  Result<BuildAnswer> pull(PullRequest request, runs::Blobs& blobs, const fiber::Context& ctx);
  // To a registry: the run that does it.
  Result<model::Run> push(std::string_view reference, RegistryPlace to, runs::Blobs& blobs,
                          const fiber::Context& ctx);
  // Another name for the same digest and layers. Conflict when it stands for something else.
  Result<model::Environment> tag(std::string_view reference, const std::string& name);
  // Takes the name away, in one transaction. Conflict, with the reason, while it is being built, or
  // when it is the last name of what an agent's version or a run that has not ended needs.
  Result<> remove(std::string_view name, const fiber::Context& ctx);

  // What an environment of that digest and those layers (as in RunRequest) says of its programs.
  Result<model::ImageConfig> config_of(const std::string& digest,
                                       const std::vector<std::string>& layers);

  // The archive becomes the environment `name`; it is read to its end, or given up at its first
  // fault.
  Result<model::Environment> import(const ImportRequest& request, sys::UniqueFd archive,
                                    const fiber::Context& ctx);
  // The environment as an archive, written to `out`, which blocks; the caller reads the other end.
  Result<snapshot::Exported> write_archive(const model::Environment& environment,
                                           const ExportRequest& request, sys::UniqueFd out,
                                           const fiber::Context& ctx);

  // What a live session has changed, above what it stands on, as the environment `name`. The
  // session stands still meanwhile, and goes on; one that sleeps, sleeps on. Not for one on `host`,
  // which is not frozen.
  Result<model::Environment> freeze(const std::string& session, const std::string& name,
                                    const fiber::Context& ctx);

 private:
  Result<> refuse_if_run(const model::Environment& environment) const;
  Result<> remove_unused(const model::Environment& one);
  Result<std::shared_ptr<LiveRun>> freezable(const std::string& session);
  Result<std::optional<StandingUpper>> stop_if_awake(const std::shared_ptr<LiveRun>& live,
                                                     const fiber::Context& ctx);
  Result<model::Environment> name_again(std::string_view reference, const std::string& name,
                                        const std::string& source);
  Result<BuildAnswer> start_build(const model::EnvironmentSource& source, const std::string& name);
  model::Environment host_environment() const;

  const RunDeps& deps_;
  RunService& runs_;
  std::set<std::string> going_;  // names that are being taken away: nobody finds them
};

}  // namespace tare::host
