// What those who move a run along say to its record.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "fiber/context.h"
#include "model/run.h"

namespace tare::host {

inline model::RunEvent event_at(model::RunEventType type, std::uint64_t at_ms,
                                std::string message = {}) {
  model::RunEvent event;
  event.at_ms = at_ms;
  event.type = type;
  event.message = std::move(message);
  return event;
}

// tared stops: nothing is to be said.
inline bool is_stop(const Error& error, const fiber::Context& ctx) {
  return error.code == Errc::cancelled && ctx.cancelled();
}

}  // namespace tare::host
