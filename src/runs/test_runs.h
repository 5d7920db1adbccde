// Values for tests of what is stored, with defaults: a_run("run_...").with_key("k"). For tests
// only.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "model/agent.h"
#include "model/environment.h"
#include "model/run.h"

namespace tare::runs {

// Ids in ascending order.
inline std::string next_id() {
  static ManualClock clock(1'700'000'000'000);
  static SeededRandom random(1);
  static RunIdGenerator ids(clock, random);
  clock.advance_ms(1);
  return ids.next();
}

inline model::Run a_run(std::string_view agent = "") {
  model::Run run;
  run.tenant = "default";
  run.id = next_id();
  run.created_ms = run_id_ms(run.id);
  run.request.agent = agent;
  run.request.version = agent.empty() ? 0 : 3;
  run.request.environment = "host";
  run.request.argv = {"echo", "hello, \"w\xC3\xB6rld\"\n"};
  run.request.env = {"A=1"};
  run.request.inputs = {{"dir/a.csv", "sha256:" + std::string(64, 'a'), 17}};
  return run;
}

inline model::RunEvent an_event(model::RunEventType type, std::uint64_t at_ms = 1'700'000'000'500) {
  model::RunEvent event;
  event.type = type;
  event.at_ms = at_ms;
  return event;
}

inline model::RunEvent an_end(int exit_code = 0) {
  model::RunEvent event = an_event(model::RunEventType::ended, 1'700'000'001'000);
  event.outcome = model::Outcome{model::EndReason::exited, exit_code, 0, ""};
  event.usage.cpu_us = 1234;
  event.usage.memory_peak_bytes = 5'000'000;
  event.log_cut = true;
  return event;
}

inline model::Agent an_agent(std::string_view name) {
  model::Agent agent;
  agent.tenant = "default";
  agent.name = name;
  agent.manifest.name = name;
  agent.manifest.entry = {"python3", "main.py"};
  agent.created_ms = 1'700'000'000'000;
  return agent;
}

inline model::Environment an_environment(std::string_view name, std::string_view source,
                                         char digit) {
  model::Environment environment;
  environment.tenant = "default";
  environment.name = name;
  environment.source = source;
  environment.digest = "sha256:" + std::string(64, digit);
  environment.layers = {environment.digest};
  environment.size_bytes = 12;
  environment.created_ms = 1'700'000'000'000;
  return environment;
}

}  // namespace tare::runs
