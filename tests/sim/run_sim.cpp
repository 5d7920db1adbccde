// A run under events in any order, as two tareds, a launcher and a client might bring them about.
#include "model/run.h"
#include "world.h"

namespace tare::sim {

void simulate_runs(std::uint64_t seed) {
  using model::RunEventType;
  Dice dice(seed ^ 0x9E3779B97F4A7C15U);
  model::Run run;
  int ends = 0;
  for (int i = 0; i < 60; ++i) {
    model::RunEvent event;
    event.at_ms = 1000 + static_cast<std::uint64_t>(i);
    event.type = static_cast<RunEventType>(dice.roll(6));
    if (event.type == RunEventType::ended) {
      event.outcome = model::Outcome{};
      event.outcome->reason = dice.one_in(2) ? model::EndReason::exited : model::EndReason::killed;
    }
    const model::RunState before = run.state;
    auto after = model::advance(run, event);
    if (!after) continue;
    expect(!model::is_terminal(before) || after->state == before,
           "a run that has ended stays as it is");
    if (!model::is_terminal(before) && model::is_terminal(after->state)) ++ends;
    run = std::move(*after);
  }
  expect(ends <= 1, "a run ends once");
}

}  // namespace tare::sim
