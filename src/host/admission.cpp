#include "host/admission.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/limits_json.h"
#include "model/profile.h"
#include "model/validate.h"

namespace tare::host {

namespace {

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

Result<model::Limits> limits_over(const RunWish& wish, const model::Limits& base) {
  if (!wish.limits) return base;
  const Json root;  // only so that errors say "limits.pids"
  return model::read_limits_over(Node(root).member("limits", *wish.limits), base);
}

// What it executes is put before what the request has for it.
void give_runner(model::RunRequest& request, const model::Runner& runner) {
  request.runner = runner.reference();
  request.runner_digest = runner.digest;
  const auto& entry = runner.manifest.entry;
  request.argv.insert(request.argv.begin(), entry.begin(), entry.end());
}

// Who the image says, unless nobody can be that here.
Result<std::string> image_user(const model::ImageConfig& config) {
  std::string user = config.sandbox_user();
  if (model::ids_of_user(user)) return user;
  return field_error("user", fmt::format("is needed: the image's own, {}, is {}, and ids above {} "
                                         "are reserved; say agent or root",
                                         quote(config.user), user, model::kMaxUserId));
}

}  // namespace

std::vector<std::string> merge_env(const std::vector<std::string>& base,
                                   const std::vector<std::string>& over) {
  std::vector<std::string> out;
  for (const std::string& variable : base) {
    const bool replaced = std::any_of(over.begin(), over.end(), [&](const std::string& other) {
      return name_of(other) == name_of(variable);
    });
    if (!replaced) out.push_back(variable);
  }
  out.insert(out.end(), over.begin(), over.end());
  return out;
}

Result<model::RunRequest> Admission::admit(const RunWish& wish) {
  if (wish.agent.empty() == wish.environment.empty()) {
    return field_error(wish.agent.empty() ? "environment" : "agent",
                       "name either an agent or an environment with argv");
  }
  model::RunRequest request = TRY(wish.agent.empty() ? ad_hoc(wish) : from_agent(wish));
  request.session = wish.session;
  request.idle_timeout_ms = wish.idle_timeout_ms;
  request.on_idle = wish.on_idle;
  request.checkpoint_interval_ms = wish.checkpoint_interval_ms;
  request.durable = wish.durable;
  if (wish.session) request.argv.clear();
  request.with_stdin = wish.with_stdin;
  request.attach = wish.attach;
  request.idempotency_key = wish.idempotency_key;
  request.inputs = wish.inputs;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    model::InputFile& input = request.inputs[i];
    auto blob = deps_.blobs.renew(input.digest);
    if (!blob) {
      Error error = std::move(blob).error().context(fmt::format("inputs[{}]: upload it first", i));
      error.field = fmt::format("inputs[{}].digest", i);
      return error;
    }
    input.size = blob->size;
  }
  TRY(model::validate(request));
  return request;
}

Result<model::RunRequest> Admission::from_agent(const RunWish& wish) {
  if (!wish.runner.empty())
    return field_error("runner", "is the agent's own; `tare runner use` gives it another");
  if (wish.user) return field_error("user", "is the agent's own; it cannot be given with `agent`");
  if (wish.profile)
    return field_error("profile", "is the agent's own; it cannot be given with `agent`");
  std::optional<std::uint32_t> version;
  if (wish.version != 0) version = wish.version;
  const model::Agent agent = TRY(agents_.get(wish.agent, version));
  const model::AgentManifest& manifest = agent.manifest;
  model::RunRequest request;
  request.agent = agent.name;
  request.version = agent.version;
  request.environment = manifest.environment;
  request.environment_digest = agent.environment_digest;
  request.environment_layers = agent.environment_layers;
  request.files_digest = agent.files_digest;
  const model::ImageConfig config = TRY(
      environments_.config_of(agent.environment_digest, agent.environment_layers));
  request.argv = manifest.entry;
  if (!manifest.runner.empty()) {
    give_runner(request, TRY(runners_.chosen(agent.name, manifest.runner, wish.run_id)));
  }
  request.argv.insert(request.argv.end(), wish.argv.begin(), wish.argv.end());
  request.env = merge_env(config.env, merge_env(manifest.env, wish.env));
  request.cwd = config.workdir;
  request.user = manifest.user;
  request.profile = manifest.profile;
  request.limits = TRY(limits_over(wish, manifest.limits));
  return request;
}

Result<model::RunRequest> Admission::ad_hoc(const RunWish& wish) {
  if (wish.version != 0) return field_error("version", "is only for an agent");
  const auto environment = TRY(environments_.resolve(wish.environment));
  const model::ImageConfig& config = environment.config;
  model::RunRequest request;
  request.environment = environment.reference;
  request.environment_digest = environment.digest;
  request.environment_layers = environment.layers;
  request.argv = wish.argv.empty() ? config.command() : wish.argv;
  if (request.argv.empty() && !wish.session) {
    return field_error("argv", fmt::format("is needed: environment {} names no program of its own",
                                           quote(environment.reference)));
  }
  request.env = merge_env(config.env, wish.env);
  request.cwd = config.workdir;
  if (wish.user) {
    request.user = *wish.user;
  } else if (!config.user.empty()) {
    request.user = TRY(image_user(config));
  }
  if (wish.profile) request.profile = *wish.profile;
  request.limits = TRY(limits_over(wish, model::Limits{}));
  if (!wish.runner.empty()) {
    give_runner(request, TRY(runners_.get(TRY(model::parse_runner_ref(wish.runner)))));
  }
  return request;
}

}  // namespace tare::host
