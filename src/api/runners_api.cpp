// /v1/runners, and which of them an agent's runs get.
#include "api/answers.h"
#include "api/handlers.h"
#include "api/uploaded_files.h"
#include "base/decode.h"
#include "base/limits.h"
#include "model/runner.h"

namespace tare::api {

namespace {

struct RunnerUse {
  model::RunnerRef runner;
  std::uint32_t percent = 100;
};

Result<RunnerUse> read_use(const Node& node) {
  RunnerUse use;
  Fields fields(node);
  fields.required("runner", use.runner, model::read_runner_ref);
  fields.optional("percent", use.percent, integer<std::uint32_t>(1, 100));
  TRY(fields.finish());
  return use;
}

Result<model::RunnerRef> runner_of(Exchange& exchange, bool with_version) {
  std::string text = exchange.parameter("name");
  if (with_version) text += "@" + exchange.parameter("version");
  return model::parse_runner_ref(text);
}

}  // namespace

Result<> add_runner(Services& services, Exchange& exchange) {
  const Json body = TRY(read_json(exchange));
  std::vector<host::UploadedFile> files;
  const Node node(body);
  Fields fields(node);
  fields.required("files", files, list_of(read_uploaded_file, kMaxAgentFiles, 1));
  TRY(fields.finish());
  const auto stored = TRY(services.runners.add(std::move(files), exchange.context()));
  return reply_json(exchange, stored.existed ? 200 : 201, model::to_json(stored.runner));
}

Result<> list_runners(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  JsonArray runners;
  for (const model::Runner& runner : TRY(services.runners.list()))
    runners.push_back(model::to_json(runner));
  return reply_json(exchange, 200, JsonObject{{"runners", std::move(runners)}});
}

Result<> get_runner(Services& services, Exchange& exchange) {
  const auto ref = TRY(runner_of(exchange, false));
  return reply_json(exchange, 200, model::to_json(TRY(services.runners.get(ref))));
}

Result<> get_runner_version(Services& services, Exchange& exchange) {
  const auto ref = TRY(runner_of(exchange, true));
  return reply_json(exchange, 200, model::to_json(TRY(services.runners.get(ref))));
}

Result<> remove_runner(Services& services, Exchange& exchange) {
  const auto ref = TRY(runner_of(exchange, true));
  TRY(services.runners.remove(ref, exchange.context()));
  return exchange.reply({.status = 204});
}

Result<> get_agent_runner(Services& services, Exchange& exchange) {
  const std::string agent = TRY(agent_name_of(exchange));
  JsonArray history;
  for (const model::Rollout& rollout : TRY(services.runners.history(agent)))
    history.push_back(model::to_json(rollout));
  return reply_json(exchange, 200, JsonObject{{"agent", agent}, {"history", std::move(history)}});
}

Result<> use_agent_runner(Services& services, Exchange& exchange) {
  const std::string agent = TRY(agent_name_of(exchange));
  const Json body = TRY(read_json(exchange));
  const RunnerUse use = TRY(read_use(Node(body)));
  const auto rollout = TRY(
      services.runners.use(use.runner, agent, use.percent, exchange.context()));
  return reply_json(exchange, 200, model::to_json(rollout));
}

Result<> roll_back_agent_runner(Services& services, Exchange& exchange) {
  const std::string agent = TRY(agent_name_of(exchange));
  return reply_json(exchange, 200,
                    model::to_json(TRY(services.runners.back(agent, exchange.context()))));
}

}  // namespace tare::api
