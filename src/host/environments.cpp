#include "host/environments.h"

#include <algorithm>

#include "base/text.h"
#include "host/debian_build.h"

namespace tare::host {

namespace {

using model::EnvironmentSource;
using model::EnvironmentState;

// The key under which an environment is looked up: canonical where there is a canonical form.
std::string key_of(const EnvironmentSource& source) { return source.text(); }

Error not_built(std::string_view reference) {
  return Error{Errc::not_found,
               fmt::format("environment {} is not there: `tare env build {}` makes it",
                           quote(reference), reference)};
}

}  // namespace

model::Environment Environments::host_environment() const {
  model::Environment host;
  host.tenant = kTenant;
  host.name = host.source = "host";
  return host;
}

Result<model::Environment> Environments::find(std::string_view reference) {
  const EnvironmentSource source = TRY(model::parse_environment_source(reference));
  if (source.kind == EnvironmentSource::Kind::host) return host_environment();
  auto found = deps_.records.run(
      [&](runs::Store& store) { return store.get_environment(kTenant, key_of(source)); });
  if (!found && found.error().code == Errc::not_found) return not_built(key_of(source));
  return found;
}

Result<ResolvedEnvironment> Environments::resolve(std::string_view reference) {
  const model::Environment environment = TRY(find(reference));
  if (environment.state == EnvironmentState::building) {
    return Error{Errc::unavailable,
                 fmt::format("environment {} is still being built: `tare logs -f {}`",
                             quote(reference), environment.build)};
  }
  if (environment.state == EnvironmentState::failed) {
    return Error{Errc::not_found,
                 fmt::format("the build of environment {} failed: see `tare logs {}`, then "
                             "`tare env build {}`",
                             quote(reference), environment.build, environment.source)};
  }
  return ResolvedEnvironment{TRY(model::parse_environment_source(reference)).text(),
                             environment.digest};
}

Result<std::vector<model::Environment>> Environments::list(std::string_view source) {
  std::string wanted;
  if (!source.empty()) wanted = TRY(model::parse_environment_source(source)).text();
  auto all = TRY(
      deps_.records.run([&](runs::Store& store) { return store.list_environments(kTenant); }));
  all.push_back(host_environment());
  if (!wanted.empty()) std::erase_if(all, [&](const auto& one) { return one.source != wanted; });
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

Result<BuildAnswer> Environments::build(const BuildRequest& request) {
  const EnvironmentSource source = TRY(model::parse_environment_source(request.source));
  if (source.kind == EnvironmentSource::Kind::host) return BuildAnswer{.ready = host_environment()};
  if (source.kind != EnvironmentSource::Kind::debian) {
    return field_error("source", "only debian:SUITE or debian:SUITE:PKG,... can be built");
  }
  const std::string text = source.text();
  const std::string name = request.name.empty() ? text : request.name;
  if (const auto build = runs_.build_of(text)) {
    return BuildAnswer{.ready = {}, .build = build->run, .ref = build->image->name};
  }
  for (model::Environment one : TRY(list(text))) {
    if (request.rebuild || one.state != EnvironmentState::ready) continue;
    if (one.name == name) return BuildAnswer{.ready = std::move(one)};
    one.name = name;  // the same under another name
    TRY(deps_.records.run([&](runs::Store& store) { return store.put_environment(one); }));
    return BuildAnswer{.ready = std::move(one)};
  }
  return start_build(source, name);
}

Result<BuildAnswer> Environments::start_build(const EnvironmentSource& source,
                                              const std::string& name) {
  model::Environment environment;
  environment.tenant = kTenant;
  environment.name = name;
  environment.source = source.text();
  environment.state = EnvironmentState::building;
  environment.created_ms = deps_.clock.wall_ms();
  environment.reproducible = true;

  NewRun wanted;
  wanted.request = TRY(debian_build(source));
  wanted.purpose = Purpose::build;
  wanted.image = std::move(environment);
  auto created = TRY(runs_.create(std::move(wanted)));
  return BuildAnswer{.ready = {}, .build = std::move(created.run), .ref = name};
}

}  // namespace tare::host
