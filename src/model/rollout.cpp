#include "model/rollout.h"

#include <algorithm>

#include "base/decode.h"
#include "base/hash.h"
#include "base/time_text.h"
#include "model/runner.h"

namespace tare::model {

namespace {

constexpr std::uint32_t kWhole = 100;

// 0 to 99, evenly.
std::uint32_t share_of(std::string_view agent, std::string_view run_id) {
  const Sha256Digest hash = sha256(std::string(agent) + " " + std::string(run_id));
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | hash[i];
  return static_cast<std::uint32_t>(number % kWhole);
}

Result<std::string> version_of_runner(std::string_view text) {
  const RunnerRef ref = TRY(parse_runner_ref(text));
  if (ref.version.empty()) return field_error("runner", "a version is missing");
  return ref.text();
}

}  // namespace

std::string choose_runner(const Rollout& rollout, std::string_view agent, std::string_view run_id) {
  return share_of(agent, run_id) < rollout.percent ? rollout.runner : rollout.rest;
}

Rollout next_rollout(const Rollout& now, std::string runner, std::uint32_t percent) {
  Rollout next;
  next.runner = std::move(runner);
  next.percent = percent;
  if (percent == kWhole) return next;
  next.rest = now.percent == kWhole ? now.runner : now.rest;
  return next;
}

std::optional<Rollout> rollout_before(const std::vector<Rollout>& history) {
  if (history.empty()) return std::nullopt;
  const auto numbered = [&](std::uint64_t sequence) {
    return std::ranges::find(history, sequence, &Rollout::sequence);
  };
  const Rollout& newest = history.front();
  const std::uint64_t now = newest.restores == 0 ? newest.sequence : newest.restores;
  auto found = numbered(now - 1);
  if (found != history.end() && found->restores != 0) found = numbered(found->restores);
  if (found == history.end()) return std::nullopt;
  Rollout before = *found;
  before.restores = found->sequence;
  return before;
}

Json to_json(const Rollout& rollout) {
  JsonObject object{{"sequence", rollout.sequence},
                    {"at_ms", rollout.at_ms},
                    {"at", format_utc(rollout.at_ms)},
                    {"runner", rollout.runner},
                    {"percent", rollout.percent}};
  if (!rollout.rest.empty()) object["rest"] = rollout.rest;
  if (rollout.restores != 0) object["restores"] = rollout.restores;
  return object;
}

Result<Rollout> rollout_from_json(const Json& json) {
  const Node node(json, Unknown::ignore);
  Rollout rollout;
  Fields fields(node);
  fields.required("sequence", rollout.sequence, integer<std::uint64_t>(1, kMaxCount));
  fields.required("at_ms", rollout.at_ms, integer<std::uint64_t>(0, kMaxCount));
  fields.required("runner", rollout.runner, parsed(version_of_runner));
  fields.required("percent", rollout.percent, integer<std::uint32_t>(1, kWhole));
  fields.optional("rest", rollout.rest, parsed(version_of_runner));
  fields.optional("restores", rollout.restores, integer<std::uint64_t>(1, kMaxCount));
  TRY(fields.finish());
  if ((rollout.percent == kWhole) != rollout.rest.empty())
    return node.refuse("`rest` is for less than 100 percent");
  return rollout;
}

}  // namespace tare::model
