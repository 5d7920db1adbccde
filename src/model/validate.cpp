#include "model/validate.h"

#include <set>

#include <fmt/core.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "model/environment.h"
#include "model/limits_json.h"
#include "model/profile.h"
#include "model/relative_path.h"

namespace tare::model {

namespace {

constexpr std::string_view kReservedPrefix = "TARE_";

std::string item(std::string_view field, std::size_t index) {
  return fmt::format("{}[{}]", field, index);
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<> check_count(std::string_view field, std::size_t count, std::size_t max) {
  if (count <= max) return ok();
  return field_error(field, fmt::format("{} items, at most {} are allowed", count, max));
}

// All texts of a list with the NUL that ends each of them.
Result<> check_total(std::string_view field, const std::vector<std::string>& list,
                     std::size_t max) {
  std::size_t total = 0;
  for (const std::string& text : list) total += text.size() + 1;
  if (total <= max) return ok();
  return field_error(field, fmt::format("{} bytes in all, at most {} are allowed", total, max));
}

Result<> check_optional_digest(std::string_view field, std::string_view text) {
  if (text.empty() || is_digest(text)) return ok();
  return field_error(field, parse_digest(text).error().message);
}

Result<> check_agent(const RunRequest& request) {
  if (request.agent.empty()) {
    if (request.version == 0) return ok();
    return field_error("version", "is only for an agent, and no agent is named");
  }
  TRY(check_name("agent", request.agent));
  if (request.version == 0) return field_error("version", "an agent's versions count from 1");
  return ok();
}

Result<> check_environment(const RunRequest& request) {
  const auto source = parse_environment_source(request.environment);
  if (!source) return field_error("environment", source.error().message);
  TRY(check_count("environment_layers", request.environment_layers.size(), kMaxEnvironmentLayers));
  for (const std::string& layer : request.environment_layers) {
    if (!is_digest(layer))
      return field_error("environment_layers", quote(layer) + " is not a digest");
  }
  return check_optional_digest("environment_digest", request.environment_digest);
}

Result<> check_inputs(const std::vector<InputFile>& inputs) {
  TRY(check_count("inputs", inputs.size(), kMaxInputFiles));
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string field = item("inputs", i);
    TRY(check_relative_path(field + ".name", inputs[i].name));
    if (!is_digest(inputs[i].digest)) {
      return field_error(field + ".digest", parse_digest(inputs[i].digest).error().message);
    }
    if (inputs[i].size > kMaxUploadBytes) {
      return field_error(field + ".size", fmt::format("{} bytes, at most {} are allowed",
                                                      inputs[i].size, kMaxUploadBytes));
    }
    names.push_back(inputs[i].name);
  }
  const auto clash = find_path_clash(names);
  if (!clash) return ok();
  return field_error(item("inputs", clash->second) + ".name",
                     fmt::format("{} {} {} of inputs[{}]", quote(names[clash->second]),
                                 clash->same ? "is the same as" : "cannot be there together with",
                                 quote(names[clash->first]), clash->first));
}

Result<> check_checkpoints(const RunRequest& request) {
  const std::uint64_t interval = request.checkpoint_interval_ms;
  if (!request.session && interval > 0)
    return field_error("checkpoint_interval_ms", "is only for a session");
  if (!request.session && request.durable) return field_error("durable", "is only for a session");
  if (request.limits.time_ms > 0 && interval >= request.limits.time_ms) {
    return field_error(
        "checkpoint_interval_ms",
        fmt::format("{} is no less than limits.time_ms, {}: its life is over before the first one",
                    interval, request.limits.time_ms));
  }
  return ok();
}

}  // namespace

Result<> check_argv(std::string_view field, const std::vector<std::string>& argv) {
  if (argv.empty()) return field_error(field, "must not be empty");
  TRY(check_count(field, argv.size(), kMaxArgs));
  if (argv.front().empty()) return field_error(item(field, 0), "the program must not be empty");
  for (std::size_t i = 0; i < argv.size(); ++i) {
    if (has_nul(argv[i])) return field_error(item(field, i), "must not hold a NUL character");
    if (argv[i].size() > kMaxArgBytes) {
      return field_error(item(field, i), fmt::format("{} bytes long, at most {} are allowed",
                                                     argv[i].size(), kMaxArgBytes));
    }
  }
  return check_total(field, argv, kMaxArgvBytes);
}

Result<> check_env_name(std::string_view field, std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const bool starts_well = !name.empty() && letter(name.front());
  for (const char c : name) {
    if (starts_well && (letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-')) continue;
    return field_error(field,
                       fmt::format("{} cannot be the name of a variable: use letters, digits, "
                                   "_ . and -, starting with a letter or _",
                                   quote(name)));
  }
  if (name.empty()) return field_error(field, "a variable needs a name");
  if (name.size() > kMaxEnvNameBytes) {
    return field_error(field, fmt::format("a name of {} bytes, at most {} are allowed", name.size(),
                                          kMaxEnvNameBytes));
  }
  if (name.starts_with(kReservedPrefix)) {
    return field_error(
        field, fmt::format("{} is reserved: Tare sets the variables TARE_... itself", quote(name)));
  }
  return ok();
}

Result<> check_env(std::string_view field, const std::vector<std::string>& env) {
  TRY(check_count(field, env.size(), kMaxEnv));
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < env.size(); ++i) {
    const std::string_view variable = env[i];
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos) {
      return field_error(item(field, i), fmt::format("{} is not NAME=value", quote(variable)));
    }
    const std::string_view name = variable.substr(0, equals);
    TRY(check_env_name(item(field, i), name));
    if (has_nul(variable)) return field_error(item(field, i), "must not hold a NUL character");
    if (!names.insert(name).second) {
      return field_error(item(field, i), fmt::format("{} is there twice", quote(name)));
    }
  }
  return check_total(field, env, kMaxEnvBytes);
}

Result<> placed(const Node& node, Result<> checked) {
  if (checked) return checked;
  std::string_view why = checked.error().message;
  if (!checked.error().field.empty()) why.remove_prefix(checked.error().field.size() + 2);
  return node.refuse(why);
}

Result<> validate(const RunRequest& request) {
  TRY(check_agent(request));
  TRY(check_environment(request));
  TRY(check_optional_digest("files_digest", request.files_digest));
  TRY(check_optional_digest("runner_digest", request.runner_digest));
  if (request.runner.empty() != request.runner_digest.empty())
    return field_error("runner", "a runner has a digest, and nothing else has");
  if (!request.session) TRY(check_argv("argv", request.argv));
  if (request.session && !request.argv.empty())
    return field_error("argv", "a session has no program; start one in it as an exec");
  if (request.session && request.with_stdin)
    return field_error("stdin", "a session has none; its execs have");
  if (!request.session && request.idle_timeout_ms > 0)
    return field_error("idle_timeout_ms", "is only for a session");
  TRY(check_checkpoints(request));
  TRY(check_env("env", request.env));
  if (const auto ids = ids_of_user(request.user); !ids) {
    return field_error("user", ids.error().message);
  }
  if (!request.cwd.empty() && (request.cwd.front() != '/' || has_nul(request.cwd)))
    return field_error("cwd", quote(request.cwd) + " is not an absolute path");
  if (const auto profile = profile_from(request.profile); !profile) {
    return field_error("profile", profile.error().message);
  }
  TRY(check_inputs(request.inputs));
  TRY(check_limits(request.limits));
  if (request.idempotency_key.size() > kMaxIdempotencyKeyBytes) {
    return field_error("idempotency_key",
                       fmt::format("{} bytes long, at most {} are allowed",
                                   request.idempotency_key.size(), kMaxIdempotencyKeyBytes));
  }
  return ok();
}

}  // namespace tare::model
