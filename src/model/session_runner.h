// The runner that a live session was given instead of the one in its request. A plain value.
#pragma once

#include <string>

namespace tare::model {

struct SessionRunner {
  std::string reference = {};  // "python@1.2"
  std::string digest = {};
  bool confirmed = false;  // false: it is just being changed
  // While it is: what the session has again if that fails.
  std::string before = {}, before_digest = {};

  friend bool operator==(const SessionRunner&, const SessionRunner&) = default;
};

// What a fresh sandbox of the session is made with.
inline SessionRunner known_good(const SessionRunner& runner) {
  if (runner.confirmed) return runner;
  return {runner.before, runner.before_digest, true, {}, {}};
}

}  // namespace tare::model
