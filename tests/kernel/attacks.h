// Runs a group of attacks (attack/attack.h) inside a live sandbox, and judges what it says.
#pragma once

#include <string>
#include <vector>

#include "support/launcher.h"

namespace tare::testing {

// Who attacks: the two users of the contract, and root of an environment build.
struct As {
  const char* name;
  std::uint32_t uid;
  model::Profile profile = model::Profile::standard;
};
inline constexpr As kAgent = {"agent", 1000};
inline constexpr As kRoot = {"root", 0};
inline constexpr As kBuilder = {"builder", 0, model::Profile::build};
inline constexpr As kStrict = {"strict", 1000, model::Profile::strict};

// `tare-attack WORDS...` as its program, with /input to have it from.
model::SandboxSpec attack_spec(TestLauncher& launcher, std::vector<std::string> words, As as);

// What was tried and what was answered.
struct Attack {
  std::string name;
  std::string answer;
};
// Fails when the program did not come to its end.
std::vector<Attack> attacks_of(TestLauncher& launcher, const std::string& group, As as);

// Fails for every attack that did not meet a refusal: one of `answers`, or of those that can only
// come from a right that is missing or a thing that is not there (EPERM, EACCES, ENOSYS, EROFS,
// ENOENT). Returns how many there were.
std::size_t expect_refused(const std::vector<Attack>& attacks, As as,
                           const std::vector<std::string>& answers = {});
// The group, as each of them.
void expect_refused(const std::string& group, const std::vector<As>& all,
                    const std::vector<std::string>& answers = {});

}  // namespace tare::testing
