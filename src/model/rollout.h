// Roll-outs: which version of its runner the runs of an agent get. The first is said when the agent
// is applied (the newest version there is then), the others by `tare runner use` and `back`. Each
// is kept; the newest holds. So a version that is only added changes nothing.
//
// Pure values and functions. Errors: Errc::invalid naming the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tare::model {

struct Rollout {
  std::uint64_t sequence = 0;  // counts from 1 within an agent
  std::uint64_t at_ms = 0;
  std::string runner;           // "python@1.2"
  std::uint32_t percent = 100;  // of the runs; the rest have `rest`
  std::string rest;             // as `runner`; "" with 100
  std::uint64_t restores = 0;   // the number of the earlier one that holds again; 0: it is new

  friend bool operator==(const Rollout&, const Rollout&) = default;
};

// The runner of that run. The same for the same run, however often it is
// asked, and for a larger percentage all that had it with a smaller one have it still.
std::string choose_runner(const Rollout& rollout, std::string_view agent, std::string_view run_id);

// What follows `now` when `runner` is to have `percent` of the runs: the rest have what all had, or
// what the rest had.
Rollout next_rollout(const Rollout& now, std::string runner, std::uint32_t percent);

// What held before the newest: also of one that went back itself, so that going back twice is two
// steps. `history`: newest first. Nullopt: there is none.
std::optional<Rollout> rollout_before(const std::vector<Rollout>& history);

Json to_json(const Rollout& rollout);
Result<Rollout> rollout_from_json(const Json& json);

}  // namespace tare::model
