#include "host/environments.h"

#include <algorithm>

#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "host/debian_build.h"

namespace tare::host {

namespace {

using model::EnvironmentSource;
using model::EnvironmentState;

constexpr std::string_view kOrRebuild = "choose another name, or replace it with --rebuild";

// The key under which an environment is looked up: canonical where there is a canonical form.
std::string key_of(const EnvironmentSource& source) { return source.text(); }

std::string about_build(const std::string& source, const std::string& name) {
  return "env build " + source + (name == source ? "" : " --name " + name);
}

Error not_there(const EnvironmentSource& source) {
  const std::string text = source.text();
  const std::string fix = source.kind == EnvironmentSource::Kind::debian
                              ? fmt::format("`tare env build {}` makes it", text)
                              : "`tare env list` shows those that are";
  return Error{Errc::not_found, fmt::format("environment {} is not there: {}", quote(text), fix)};
}

// The command that makes it, for one that is made by a run.
std::string made_by(const model::Environment& environment) {
  const std::string_view source = environment.source;
  if (source.starts_with("oci:"))
    return fmt::format("tare env pull {} --name {}", source.substr(4), environment.name);
  if (source.starts_with("from:"))
    return fmt::format("tare env build --from {} --name {} -- COMMAND", source.substr(5),
                       environment.name);
  return fmt::format("tare env build {}", source);
}

// Is there another name for what this one stands for?
Result<bool> is_last_name(runs::Store& store, const model::Environment& environment) {
  if (environment.digest.empty()) return false;
  for (const model::Environment& other : TRY(store.list_environments(kTenant))) {
    if (other.name != environment.name && other.digest == environment.digest) return false;
  }
  return true;
}

Result<> refuse_if_agents_need(runs::Store& store, const model::Environment& environment) {
  return store.each_agent_version(kTenant, [&](const model::Agent& agent) -> Result<> {
    if (agent.environment_digest != environment.digest) return ok();
    return Error{Errc::conflict,
                 fmt::format("environment {} is needed by version {} of agent {}, which is "
                             "kept: give it another name first (`tare env tag`)",
                             quote(environment.name), agent.version, agent.name)};
  });
}

// A name stands for what it was given to, until somebody says otherwise.
Result<> refuse_if_others(runs::Store& store, const std::string& name, const std::string& source) {
  const auto there = store.get_environment(kTenant, name);
  if (there && there->source == source) return ok();
  return refuse_if_taken(store, name, kOrRebuild);
}

Result<> refuse_while_built(runs::Store& store, const std::string& name) {
  const auto there = store.get_environment(kTenant, name);
  if (!there || there->state != EnvironmentState::building) return ok();
  return Error{Errc::conflict,
               fmt::format("{} is being built: `tare logs -f {}`", quote(name), there->build)};
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
  if (!found && found.error().code == Errc::not_found) return not_there(source);
  if (found && going_.contains(found->name)) return not_there(source);
  return found;
}

Result<LeasedEnvironment> Environments::find_leased(std::string_view reference) {
  const auto reading = deps_.layers.read();  // until they are leased
  model::Environment found = TRY(find(reference));
  auto lease = deps_.layers.lease(found.layers);
  return LeasedEnvironment{std::move(found), std::move(lease)};
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
                 fmt::format("the build of environment {} failed: see `tare logs {}`, then `{}`",
                             quote(reference), environment.build, made_by(environment))};
  }
  if (mounted_layers(environment).size() >= kMaxLayers) {
    return Error{
        Errc::unavailable,
        fmt::format("environment {} has more layers than can be mounted at once; a flat one "
                    "is being made of them: try again in a moment",
                    quote(reference))};
  }
  ResolvedEnvironment resolved{TRY(model::parse_environment_source(reference)).text(),
                               environment.digest};
  if (environment.layers != std::vector{environment.digest}) resolved.layers = environment.layers;
  resolved.config = environment.config;
  return resolved;
}

// Only one with a configuration has a digest that its layers alone do not give.
Result<model::ImageConfig> Environments::config_of(const std::string& digest,
                                                   const std::vector<std::string>& layers) {
  if (layers.empty() || model::digest_of_layers(layers) == digest) return model::ImageConfig{};
  return TRY(find(digest)).config;
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
  const auto reading = deps_.layers.read();  // it may be there, and get another name
  const std::string text = source.text();
  const std::string name = request.name.empty() ? text : request.name;
  if (const auto build = runs_.build_of(text)) {
    return BuildAnswer{.ready = {}, .build = build->run, .ref = build->image->name};
  }
  if (!request.rebuild) {
    TRY(deps_.records.run([&](runs::Store& store) { return refuse_if_others(store, name, text); }));
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

  NewRun wanted;
  wanted.request = TRY(debian_build(source));
  wanted.request.about = about_build(source.text(), name);
  wanted.purpose = Purpose::build;
  wanted.image = std::move(environment);
  auto created = TRY(runs_.create(std::move(wanted)));
  return BuildAnswer{.ready = {}, .build = std::move(created.run), .ref = name};
}

Result<BuildAnswer> Environments::build_from(const BuildFromRequest& request) {
  TRY(check_environment_name(request.name));
  const auto reading = deps_.layers.read();  // until the run is among those that live
  const ResolvedEnvironment base = TRY(resolve(request.from));
  if (base.digest.empty())
    return field_error("from", "`host` is not frozen: begin with debian:SUITE or an image");
  model::Environment environment;
  environment.tenant = kTenant;
  environment.name = request.name;
  environment.source = "from:" + base.reference;
  environment.state = EnvironmentState::building;
  environment.created_ms = deps_.clock.wall_ms();
  environment.online_build = request.network;
  environment.config = base.config;
  TRY(deps_.records.run([&](runs::Store& store) -> Result<> {
    TRY(refuse_while_built(store, request.name));
    return request.rebuild ? ok() : refuse_if_taken(store, request.name, kOrRebuild);
  }));
  NewRun wanted;
  wanted.request.environment = base.reference;
  wanted.request.environment_digest = base.digest;
  wanted.request.environment_layers = base.layers;
  wanted.request.argv = request.argv;
  wanted.request.about = fmt::format("env build --from {} --name {}", base.reference, request.name);
  wanted.request.env = request.env;
  wanted.request.user = "root";
  wanted.request.profile = "build";
  wanted.request.limits = request.limits;
  wanted.purpose = request.network ? Purpose::commands_online : Purpose::commands;
  wanted.image = std::move(environment);
  auto created = TRY(runs_.create(std::move(wanted)));
  return BuildAnswer{.ready = {}, .build = std::move(created.run), .ref = request.name};
}

std::string no_layers(const model::Environment& environment, std::string_view verb) {
  const std::string name = quote(environment.name);
  if (environment.name == "host") {
    return fmt::format(
        "`host` is the host's own files, there is nothing to {}: begin with `tare "
        "env build debian:bookworm` or an image",
        verb);
  }
  return fmt::format(
      "environment {} is not ready ({}), there is nothing to {} yet: `tare logs {}` "
      "says how its build goes",
      name, model::to_string(environment.state), verb, environment.build);
}

// ---- names

Result<> check_environment_name(const std::string& name) {
  TRY(check_name("name", name));
  if (TRY(model::parse_environment_source(name)).kind == EnvironmentSource::Kind::name) return ok();
  return field_error("name", quote(name) + " has a meaning of its own; take another");
}

Result<> refuse_if_taken(runs::Store& store, const std::string& name, std::string_view fix) {
  const auto there = store.get_environment(kTenant, name);
  if (!there && there.error().code != Errc::not_found) return there.error();
  if (!there || there->state == model::EnvironmentState::failed) return ok();
  return Error{
      Errc::conflict,
      fmt::format("environment {} is there already, of {}: {}", quote(name), there->source, fix), 0,
      "name"};
}

Result<model::Environment> Environments::tag(std::string_view reference, const std::string& name) {
  return name_again(reference, name, "");
}

Result<model::Environment> Environments::fork(std::string_view reference, const std::string& name) {
  return name_again(reference, name, "fork:" + std::string(reference));
}

// `source`: "" for that of the other name.
Result<model::Environment> Environments::name_again(std::string_view reference,
                                                    const std::string& name,
                                                    const std::string& source) {
  TRY(check_environment_name(name));
  const ResolvedEnvironment resolved = TRY(resolve(reference));
  if (resolved.digest.empty())
    return field_error(
        "ref", "`host` is not frozen: begin with `tare env build debian:bookworm` or an image");
  // Read and stored at once: what it stands for cannot go in between.
  return deps_.records.run([&](runs::Store& store) -> Result<model::Environment> {
    auto taken = store.get_environment(kTenant, name);
    if (!taken && taken.error().code != Errc::not_found) return std::move(taken).error();
    model::Environment one = TRY(store.get_environment(kTenant, resolved.reference));
    const bool same = taken && taken->name == name && taken->digest == one.digest;
    if (same && (source.empty() || taken->source == source)) return std::move(*taken);
    if (taken && taken->name == name) {
      return Error{Errc::conflict,
                   fmt::format("{} is {}; `tare env rm {}` takes the name away", quote(name),
                               same ? "a name of it already" : "another environment", name)};
    }
    one.name = name;
    if (!source.empty()) {
      one.source = source;
      one.created_ms = deps_.clock.wall_ms();
    }
    TRY(store.put_environment(one));
    return one;
  });
}

Result<> Environments::refuse_if_run(const model::Environment& environment) const {
  const std::string run = runs_.run_in(environment.digest);
  if (run.empty()) return ok();
  return Error{Errc::conflict, fmt::format("environment {} is in use by {}; `tare kill` ends it",
                                           quote(environment.name), run)};
}

Result<> Environments::remove(std::string_view name, const fiber::Context& ctx) {
  const model::Environment one = TRY(find(name));
  if (one.name == "host")
    return field_error("ref", "`host` is the host itself, and cannot be removed: name another one");
  if (one.name != TRY(model::parse_environment_source(name)).text()) {
    return Error{
        Errc::not_found,
        fmt::format("there is no environment named {}; {} has that {}: `tare env rm {}` takes "
                    "that name away",
                    quote(name), quote(one.name), one.digest == name ? "digest" : "source",
                    one.name)};
  }
  if (one.state == EnvironmentState::building) {
    return Error{Errc::conflict,
                 fmt::format("environment {} is being built; `tare kill {}` ends that",
                             quote(one.name), one.build)};
  }
  // Nobody finds it from here on. Who had found it just before has begun to use it when the readers
  // have gone, or never will.
  if (!going_.insert(one.name).second)
    return Error{Errc::conflict,
                 fmt::format("{} is being taken away: try again in a moment", quote(one.name))};
  auto removed = deps_.layers.readers_gone(ctx);
  if (removed) removed = remove_unused(one);
  going_.erase(one.name);
  return removed;
}

// The last name of something goes only when nothing needs that; which of two names is the last may
// change while we wait for the database.
Result<> Environments::remove_unused(const model::Environment& one) {
  for (;;) {
    const bool last = TRY(
        deps_.records.run([&](runs::Store& store) { return is_last_name(store, one); }));
    if (last) TRY(refuse_if_run(one));
    const auto remove_as = [&](runs::Store& store) -> Result<bool> {
      if (TRY(is_last_name(store, one)) != last) return false;
      if (last) TRY(refuse_if_agents_need(store, one));
      TRY(store.delete_environment(kTenant, one.name));
      return true;
    };
    if (!TRY(deps_.records.run(remove_as))) continue;
    return ok();
  }
}

}  // namespace tare::host
