// Ids of runs, and names of tenants, agents and environments.
//
// A run id is "run_" and 26 characters: a ULID (48 bits of wall time in ms, 80 random bits) in
// lower-case Crockford base32, so ids sort by the time they were made. Names are 1 to 63 characters
// of a-z 0-9 . _ - and start with a letter or digit: safe as a path component, in a URL and in a
// shell. Threads: a RunIdGenerator belongs to one; the functions are pure. Source:
// github.com/ulid/spec.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace tare {

inline constexpr std::string_view kRunIdPrefix = "run_";
inline constexpr std::size_t kRunIdBytes = 30;
inline constexpr std::size_t kMaxNameBytes = 63;

// Each id is greater than the one before, also within one millisecond and when the wall clock goes
// back.
class RunIdGenerator {
 public:
  RunIdGenerator(Clock& clock, Random& random) : clock_(clock), random_(random) {}
  std::string next();

 private:
  void draw();
  void count_up();

  Clock& clock_;
  Random& random_;
  std::uint64_t last_ms_ = 0;
  std::array<std::uint8_t, 10> tail_{};  // the 80 random bits, most significant byte first
};

bool is_run_id(std::string_view text);
// When the id was made, in ms since the epoch; the text must be a run id.
std::uint64_t run_id_ms(std::string_view run_id);

bool is_name(std::string_view text);
// `field` is its path: "agent: \"A b\" is not a name: ...".
Result<> check_name(std::string_view field, std::string_view text);

}  // namespace tare
