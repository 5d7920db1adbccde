// Secrets that must be in no environment, known by name. A canary is one that people register
// for that alone; the vault's (secrets.h) are the others.
//
// Kept in state/canaries/<name>, 0600, tare's. Owner: main. Loop thread only; the files are small
// and written by people's commands. Errors: Errc::conflict, not_found, invalid, exhausted (64 at
// most). What never happens: a value in a log, an answer or a message of ours.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "snapshot/needles.h"
#include "sys/fd.h"

namespace tare::host {

inline constexpr std::size_t kMaxCanaries = 64;

struct CanaryInfo {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t created_ms = 0;
};

class Canaries {
 public:
  // `state`: $TARE_HOME/state. What is there is read.
  static Result<Canaries> open(int state);

  Result<CanaryInfo> add(const std::string& name, const std::string& value, const Clock& clock);
  std::vector<CanaryInfo> list() const;  // by name
  Result<> remove(const std::string& name);
  std::vector<snapshot::Needle> secrets() const;

 private:
  struct Canary {
    CanaryInfo info;
    std::string value;
  };
  Result<> take_up(const std::string& name);

  sys::UniqueFd folder_;
  std::map<std::string, Canary, std::less<>> canaries_;
};

}  // namespace tare::host
