// Every filter against its table, in user space: each number, ABI and boundary of the arguments is
// judged by the compiled program and by a second reading of the table, and the two must agree. The
// attempts cover the program: each instruction is executed and each jump taken both ways.
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cerrno>
#include <set>

#include "base/random.h"
#include "sandbox/seccomp/build.h"
#include "sandbox/seccomp/evaluate.h"
#include "sandbox/seccomp/profile.h"

namespace tare::sandbox {
namespace {

using model::Profile;
using Arguments = std::array<std::uint64_t, 6>;

constexpr std::array<std::uint32_t, 6> kArchs = {
    AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0, 0xFFFF'FFFF, AUDIT_ARCH_X86_64 ^ 1};

// ---- the second reading: sentence by sentence what profile.h says

Verdict read_table(const std::vector<SyscallRule>& rules, const SyscallAttempt& attempt) {
  if (attempt.arch == AUDIT_ARCH_I386) return Verdict::refused;
  if (attempt.arch != AUDIT_ARCH_X86_64) return Verdict::absent;
  if ((attempt.number & 0xC000'0000) == 0x4000'0000) return Verdict::refused;  // x32
  for (const SyscallRule& rule : rules) {
    if (rule.number != attempt.number) continue;
    for (const Case& one : rule.cases) {
      bool holds = true;
      for (const ArgumentTest& test : one.tests)
        holds = holds && (attempt.arguments[test.index] & test.mask) == test.value;
      if (holds) return one.verdict;
    }
    return rule.otherwise;
  }
  return Verdict::refused;
}

std::uint32_t answer(Verdict verdict) {
  if (verdict == Verdict::allowed) return 0x7FFF'0000;
  if (verdict == Verdict::nothing) return 0x0005'0000;
  return verdict == Verdict::refused ? 0x7FC0'0000 : 0x0005'0000 | ENOSYS;
}

// ---- what is tried

std::set<std::uint32_t> numbers() {
  std::set<std::uint32_t> all = {0x3FFF'FFFF, 0x4000'0000, 0x4000'0001, 0x7FFF'FFFE,
                                 0x7FFF'FFFF, 0x8000'0000, 0x8000'0001, 0xBFFF'FFFF,
                                 0xC000'0000, 0xFFFF'FFFE, 0xFFFF'FFFF};
  for (std::uint32_t number = 0; number < 1024; ++number) {
    for (const std::uint32_t bits : {0U, 0x4000'0000U, 0x8000'0000U, 0xC000'0000U})
      all.insert(number | bits);
  }
  for (int bit = 10; bit < 32; ++bit) {
    all.insert((1U << bit) - 1);
    all.insert(1U << bit);
  }
  return all;
}

// The values around one test: it, its neighbours, each bit of it, other high halves.
void add_boundaries(const ArgumentTest& test, std::set<std::uint64_t>& values) {
  for (const std::uint64_t value : {test.value, test.mask, test.value | ~test.mask}) {
    values.insert({value, value - 1, value + 1, ~value, value | 0xFFFF'FFFF'0000'0000});
    for (int bit = 0; bit < 64; ++bit) values.insert(value ^ std::uint64_t{1} << bit);
  }
}

// For each argument that the rule looks at, all that is worth trying.
std::array<std::set<std::uint64_t>, 6> values_of(const SyscallRule& rule) {
  std::array<std::set<std::uint64_t>, 6> values;
  for (const Case& one : rule.cases) {
    for (const ArgumentTest& test : one.tests) add_boundaries(test, values[test.index]);
  }
  for (auto& argument : values) argument.insert({0, ~std::uint64_t{0}});
  return values;
}

// Every pair of values of every two arguments that are looked at, the rest of the arguments being
// 0 or all ones; and every value of each, the others being as a case wants them, or, of those that
// it does not look at, again 0 or all ones.
std::vector<Arguments> arguments_of(const SyscallRule& rule) {
  const auto values = values_of(rule);
  std::vector<Arguments> all;
  for (const std::uint64_t rest : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    for (std::size_t i = 0; i < 6; ++i) {
      for (std::size_t j = i + 1; j < 6; ++j) {
        if (values[i].size() == 2 && values[j].size() == 2) continue;
        for (const std::uint64_t one : values[i]) {
          for (const std::uint64_t other : values[j]) {
            Arguments arguments;
            arguments.fill(rest);
            arguments[i] = one;
            arguments[j] = other;
            all.push_back(arguments);
          }
        }
      }
    }
  }
  for (const Case& one : rule.cases) {
    for (const std::uint64_t rest : {std::uint64_t{0}, ~std::uint64_t{0}}) {
      Arguments wanted;
      wanted.fill(rest);
      for (const ArgumentTest& test : one.tests) wanted[test.index] = 0;
      for (const ArgumentTest& test : one.tests) wanted[test.index] |= test.value;
      for (std::size_t i = 0; i < 6; ++i) {
        for (const std::uint64_t value : values[i]) {
          Arguments arguments = wanted;
          arguments[i] = value;
          all.push_back(arguments);
        }
      }
    }
  }
  return all;
}

class Comparison {
 public:
  explicit Comparison(std::vector<SyscallRule> rules)
      : rules_(std::move(rules)), judge_(compile_filter(rules_).value()) {}

  void attempt(const SyscallAttempt& attempt) {
    const auto judged = judge_.judge(attempt);
    ASSERT_TRUE(judged) << judged.error().message;
    ++attempts_;
    deepest_ = std::max(deepest_, judged->steps);
    const Verdict expected = read_table(rules_, attempt);
    if (judged->answer == answer(expected)) return;
    ADD_FAILURE() << std::hex << "arch " << attempt.arch << " number " << attempt.number
                  << " arguments " << attempt.arguments[0] << " " << attempt.arguments[1] << " "
                  << attempt.arguments[2] << ": " << judged->answer << ", not " << answer(expected);
  }

  void attempt_all() {
    for (const std::uint32_t number : numbers()) {
      for (const std::uint32_t arch : kArchs) {
        for (const std::uint64_t value : {std::uint64_t{0}, ~std::uint64_t{0}}) {
          Arguments arguments;
          arguments.fill(value);
          attempt({number, arch, arguments});
        }
      }
    }
    for (const SyscallRule& rule : rules_) {
      if (rule.cases.empty()) continue;
      for (const Arguments& arguments : arguments_of(rule))
        attempt({rule.number, AUDIT_ARCH_X86_64, arguments});
    }
  }

  const Judge& judge() const { return judge_; }
  std::uint32_t deepest() const { return deepest_; }
  std::size_t attempts() const { return attempts_; }

 private:
  std::vector<SyscallRule> rules_;
  Judge judge_;
  std::uint32_t deepest_ = 0;
  std::size_t attempts_ = 0;
};

TEST(Judgement, every_profiles_filter_is_its_table_and_all_of_it_is_tried) {
  for (const Profile profile : {Profile::strict, Profile::standard, Profile::build}) {
    Comparison comparison(rules_of(profile));
    comparison.attempt_all();
    EXPECT_EQ(comparison.judge().uncovered(), std::vector<std::string>{});
    std::printf("profile %d: %zu instructions, a call runs at most %u, %zu attempts judged\n",
                static_cast<int>(profile), comparison.judge().size(), comparison.deepest(),
                comparison.attempts());
    EXPECT_LE(comparison.judge().size(), 255U);
    EXPECT_LE(comparison.deepest(), 48U);  // socket: by three arguments, four times
  }
}

// ---- tables that nobody wrote: the compiler, not only what it makes of ours

Verdict any_verdict(Random& random) { return static_cast<Verdict>(random.next_u64() % 4); }

SyscallRule any_rule(Random& random, std::uint32_t number) {
  SyscallRule rule{number, "any", {}, any_verdict(random)};
  if (random.next_u64() % 8 != 0) return rule;
  for (std::uint64_t cases = 1 + random.next_u64() % 3; cases > 0; --cases) {
    Case one{{}, any_verdict(random)};
    for (std::uint64_t tests = 1 + random.next_u64() % 2; tests > 0; --tests) {
      const std::uint64_t masks[] = {0xFFFF'FFFF, ~std::uint64_t{0}, 0xF000, std::uint64_t{1} << 40,
                                     random.next_u64() | 1};
      const std::uint64_t mask = masks[random.next_u64() % 5];
      one.tests.push_back({static_cast<std::uint8_t>(random.next_u64() % 3), mask,
                           random.next_u64() % 3 == 0 ? 0 : random.next_u64() & mask});
    }
    rule.cases.push_back(std::move(one));
  }
  return rule;
}

TEST(Judgement, a_filter_of_any_table_is_that_table) {
  SeededRandom random(20);
  for (int table = 0; table < 60; ++table) {
    std::vector<SyscallRule> rules;
    std::uint32_t number = 0;
    for (std::uint64_t left = random.next_u64() % 30; left > 0; --left) {
      number += static_cast<std::uint32_t>(random.next_u64() % 3 == 0 ? random.next_u64() % 50 : 1);
      if (number == 0) ++number;
      rules.push_back(any_rule(random, number++));
    }
    Comparison comparison(std::move(rules));
    comparison.attempt_all();
    if (::testing::Test::HasFailure()) FAIL() << "table " << table;
  }
}

TEST(Judgement, a_table_too_large_for_the_jumps_is_refused) {
  std::vector<SyscallRule> rules;
  for (std::uint32_t i = 0; i < 600; ++i) rules.push_back({2 * i, "any", {}, Verdict::allowed});
  const auto filter = compile_filter(rules);
  ASSERT_FALSE(filter);
  EXPECT_EQ(filter.error().code, Errc::exhausted);
}

}  // namespace
}  // namespace tare::sandbox
