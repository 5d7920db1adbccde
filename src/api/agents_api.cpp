// /v1/agents: applying, listing, getting.
#include <charconv>

#include "api/answers.h"
#include "api/handlers.h"
#include "api/uploaded_files.h"
#include "base/decode.h"
#include "base/limits.h"
#include "model/agent.h"

namespace tare::api {

namespace {

struct AgentApply {
  std::string manifest;
  std::vector<host::UploadedFile> files;
};

Result<AgentApply> read_apply(const Node& node) {
  AgentApply apply;
  Fields fields(node);
  fields.required("manifest", apply.manifest, text(kMaxTomlBytes));
  fields.optional("files", apply.files, list_of(read_uploaded_file, kMaxAgentFiles));
  TRY(fields.finish());
  return apply;
}

}  // namespace

Result<> apply_agent(Services& services, Exchange& exchange) {
  const Json body = TRY(read_json(exchange));
  AgentApply apply = TRY(read_apply(Node(body)));
  const auto stored = TRY(
      services.agents.apply(apply.manifest, std::move(apply.files), exchange.context()));
  return reply_json(exchange, stored.existed ? 200 : 201, model::to_json(stored.agent));
}

Result<> list_agents(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"limit", "cursor"}));
  const auto page = TRY(services.agents.list(text_or_empty(exchange.query(), "cursor"),
                                             TRY(page_limit(exchange.query()))));
  JsonArray agents;
  for (const model::Agent& agent : page.agents) agents.push_back(model::to_json(agent));
  JsonObject out{{"agents", std::move(agents)}};
  if (!page.next_cursor.empty()) out["next_cursor"] = page.next_cursor;
  return reply_json(exchange, 200, out);
}

Result<> get_agent(Services& services, Exchange& exchange) {
  const std::string name = TRY(agent_name_of(exchange));
  return reply_json(exchange, 200, model::to_json(TRY(services.agents.get(name, std::nullopt))));
}

Result<> get_agent_version(Services& services, Exchange& exchange) {
  const std::string name = TRY(agent_name_of(exchange));
  const std::string& text = exchange.parameter("version");
  std::uint32_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version == 0) {
    return field_error("version", "expected a number from 1");
  }
  return reply_json(exchange, 200, model::to_json(TRY(services.agents.get(name, version))));
}

}  // namespace tare::api
