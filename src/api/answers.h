// Small helpers of the handlers: query parameters, JSON bodies, JSON answers, pages. Errors:
// Errc::invalid naming the parameter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "http/exchange.h"
#include "model/run.h"

namespace tare::api {

Result<> reply_json(http::Exchange& exchange, int status, const Json& body,
                    const http::Headers& headers = {});
Result<Json> read_json(http::Exchange& exchange);
// Of a body that is {"name": ...} and nothing else; an empty one is refused.
Result<std::string> read_name_alone(http::Exchange& exchange);

Result<bool> flag(const http::Query& query, std::string_view name, bool otherwise);
Result<std::uint64_t> number(const http::Query& query, std::string_view name,
                             std::uint64_t otherwise, std::uint64_t least, std::uint64_t most);
std::string text_or_empty(const http::Query& query, std::string_view name);

// A page's size, from `limit`.
Result<std::size_t> page_limit(const http::Query& query);

// "running", "active" (all that have not ended), "ended"; "" for any: none in the list.
Result<std::vector<model::RunState>> states_of(std::string_view text);

// The path's run id, of the right form (else not_found: there is no such run).
Result<std::string> run_id_of(http::Exchange& exchange);
// The path's name of an agent.
Result<std::string> agent_name_of(http::Exchange& exchange);

}  // namespace tare::api
