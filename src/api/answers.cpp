#include "api/answers.h"

#include <charconv>

#include <fmt/format.h>

#include "base/decode.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"

namespace tare::api {

namespace {
constexpr std::uint64_t kDefaultPage = 100;
}

Result<> reply_json(http::Exchange& exchange, int status, const Json& body,
                    const http::Headers& headers) {
  http::Response response{.status = status, .headers = headers, .body = to_text(body) + "\n"};
  response.headers.set("Content-Type", "application/json");
  return exchange.reply(response);
}

Result<std::string> read_name_alone(http::Exchange& exchange) {
  const Json body = TRY(read_json(exchange));
  std::string name;
  const Node node(body);
  Fields fields(node);
  fields.required("name", name, text(kMaxNameBytes, 1));
  TRY(fields.finish());
  return name;
}

Result<Json> read_json(http::Exchange& exchange) {
  const std::string text = TRY(exchange.read_all());
  return parse_json(text).context("the request's body");
}

Result<bool> flag(const http::Query& query, std::string_view name, bool otherwise) {
  const auto value = query.get(name);
  if (!value) return otherwise;
  if (*value == "true") return true;
  if (*value == "false") return false;
  return field_error(name, fmt::format("{} is neither true nor false", quote(*value)));
}

Result<std::uint64_t> number(const http::Query& query, std::string_view name,
                             std::uint64_t otherwise, std::uint64_t least, std::uint64_t most) {
  const auto value = query.get(name);
  if (!value) return otherwise;
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), out);
  const bool whole = error == std::errc() && end == value->data() + value->size();
  if (whole && out >= least && out <= most) return out;
  return field_error(name,
                     fmt::format("{} is not a number from {} to {}", quote(*value), least, most));
}

std::string text_or_empty(const http::Query& query, std::string_view name) {
  return std::string(query.get(name).value_or(""));
}

Result<std::size_t> page_limit(const http::Query& query) {
  return static_cast<std::size_t>(TRY(number(query, "limit", kDefaultPage, 1, kMaxListedRuns)));
}

Result<std::vector<model::RunState>> states_of(std::string_view text) {
  using model::RunState;
  if (text.empty()) return std::vector<RunState>{};
  if (text == "active")
    return std::vector{RunState::queued, RunState::starting, RunState::running,
                       RunState::hibernated};
  if (text == "ended")
    return std::vector{RunState::succeeded, RunState::failed, RunState::cancelled};
  auto state = model::run_state_from(text);
  if (!state) return field_error("state", state.error().message + ", active, ended");
  return std::vector{*state};
}

Result<std::string> run_id_of(http::Exchange& exchange) {
  const std::string& id = exchange.parameter("id");
  if (!is_run_id(id)) return Error{Errc::not_found, fmt::format("{} is not a run's id", quote(id))};
  return id;
}

Result<std::string> agent_name_of(http::Exchange& exchange) {
  const std::string& name = exchange.parameter("name");
  TRY(check_name("name", name));
  return name;
}

}  // namespace tare::api
