#include "model/exec.h"

#include <fmt/core.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/validate.h"

namespace tare::model {

std::string_view to_string(ExecState state) {
  switch (state) {
    case ExecState::starting: return "starting";
    case ExecState::running: return "running";
    case ExecState::ended: return "ended";
  }
  return "";
}

Result<ExecState> exec_state_from(std::string_view text) {
  for (const ExecState state : {ExecState::starting, ExecState::running, ExecState::ended}) {
    if (to_string(state) == text) return state;
  }
  return Error{Errc::invalid, fmt::format("{} is not an exec's state; allowed: starting, running, "
                                          "ended",
                                          quote(text))};
}

Result<> validate(const ExecRequest& request) {
  TRY(check_argv("argv", request.argv));
  TRY(check_env("env", request.env));
  if (request.cwd.empty()) return ok();
  if (request.cwd.front() != '/') return field_error("cwd", "must be an absolute path");
  if (request.cwd.size() > kMaxPathBytes || request.cwd.find('\0') != std::string::npos)
    return field_error("cwd", fmt::format("at most {} bytes, and no NUL", kMaxPathBytes));
  return ok();
}

}  // namespace tare::model
