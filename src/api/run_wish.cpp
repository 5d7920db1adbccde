#include "api/run_wish.h"

#include "base/ids.h"
#include "base/limits.h"
#include "model/limits_json.h"
#include "model/runner.h"

namespace tare::api {

namespace {

constexpr std::uint64_t kLeastIntervalMs = 1000;

Result<model::InputFile> read_input(const Node& node) {
  model::InputFile input;
  Fields fields(node);
  fields.required("name", input.name, text(kMaxPathBytes, 1));
  fields.required("digest", input.digest, read_digest);
  TRY(fields.finish());
  return input;
}

// Kept as it is, for it is read again over the agent's limits; but a fault is told now.
Result<std::optional<Json>> read_limits_object(const Node& node) {
  TRY(model::read_limits(node));
  return std::optional<Json>(node.value());
}

Result<std::string> read_agent_name(const Node& node) {
  std::string name = TRY(read_text(node, kMaxNameBytes, 1));
  if (!is_name(name)) return node.refuse(check_name("", name).error().message);
  return name;
}

auto optional_choice(std::initializer_list<std::string_view> choices) {
  return [list = std::vector<std::string_view>(choices)](
             const Node& node) -> Result<std::optional<std::string>> {
    return std::optional(TRY(read_choice(node, list)));
  };
}

}  // namespace

Result<host::RunWish> read_run_wish(const Node& node) {
  host::RunWish wish;
  Fields fields(node);
  fields.optional("agent", wish.agent, read_agent_name);
  fields.optional("version", wish.version, integer<std::uint32_t>(1));
  fields.optional("environment", wish.environment, text(kMaxEnvironmentTextBytes, 1));
  fields.optional("runner", wish.runner, text(model::kMaxRunnerTextBytes, 1));
  fields.optional("argv", wish.argv, list_of(text(kMaxArgBytes), kMaxArgs, 1));
  fields.optional("env", wish.env, list_of(text(kMaxEnvBytes), kMaxEnv));
  fields.optional("user", wish.user, optional_choice({"agent", "root"}));
  fields.optional("profile", wish.profile, optional_choice({"strict", "default", "build"}));
  fields.optional("limits", wish.limits, read_limits_object);
  fields.optional("inputs", wish.inputs, list_of(read_input, kMaxInputFiles));
  fields.optional("stdin", wish.with_stdin, boolean());
  fields.optional("attach", wish.attach, boolean());
  fields.optional("idle_timeout_ms", wish.idle_timeout_ms,
                  integer<std::uint64_t>(kLeastIntervalMs, model::LimitBounds::kTimeMaxMs));
  fields.optional("on_idle", wish.on_idle, parsed(model::on_idle_from));
  fields.optional("checkpoint_interval_ms", wish.checkpoint_interval_ms,
                  integer<std::uint64_t>(kLeastIntervalMs, model::LimitBounds::kTimeMaxMs));
  fields.optional("durable", wish.durable, boolean());
  fields.optional("idempotency_key", wish.idempotency_key, text(kMaxIdempotencyKeyBytes, 1));
  TRY(fields.finish());
  return wish;
}

}  // namespace tare::api
