// The runner that a live session was given instead of the one in its request. A plain value.
#pragma once

#include <string>

namespace tare::model {

struct SessionRunner {
  std::string reference = {};  // "python@1.2"
  std::string digest = {};
  bool confirmed = false;  // false: it is just being changed

  friend bool operator==(const SessionRunner&, const SessionRunner&) = default;
};

}  // namespace tare::model
