#include "sandbox/seccomp/evaluate.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstring>
#include <vector>

namespace tare::sandbox {

namespace {

struct Verdict {
  std::uint32_t answer = 0;
  std::uint32_t steps = 0;
};

Error malformed(std::size_t at) {
  return Error{Errc::invalid, "filter is malformed at instruction " + std::to_string(at)};
}

bool holds(const sock_filter& instruction, std::uint32_t a, std::uint32_t operand) {
  switch (BPF_OP(instruction.code)) {
    case BPF_JEQ: return a == operand;
    case BPF_JGT: return a > operand;
    case BPF_JGE: return a >= operand;
    case BPF_JSET: return (a & operand) != 0;
    default: return false;
  }
}

Result<Verdict> run(std::string_view filter, const SyscallAttempt& attempt) {
  if (filter.size() % sizeof(sock_filter) != 0) return malformed(0);
  std::vector<sock_filter> program(filter.size() / sizeof(sock_filter));
  std::memcpy(program.data(), filter.data(), filter.size());
  seccomp_data data = {};
  data.nr = attempt.number;
  data.arch = attempt.arch;
  std::memcpy(data.args, attempt.arguments.data(), sizeof data.args);

  std::uint32_t a = 0;
  std::uint32_t steps = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& instruction = program[at];
    ++steps;
    switch (BPF_CLASS(instruction.code)) {
      case BPF_LD:
        if (instruction.code != (BPF_LD | BPF_W | BPF_ABS) || instruction.k > sizeof data - 4)
          return malformed(at);
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + instruction.k, sizeof a);
        break;
      case BPF_ALU:
        if (instruction.code != (BPF_ALU | BPF_AND | BPF_K)) return malformed(at);
        a &= instruction.k;
        break;
      case BPF_JMP:
        if (BPF_OP(instruction.code) == BPF_JA) {
          at += instruction.k;
        } else {
          at += holds(instruction, a, instruction.k) ? instruction.jt : instruction.jf;
        }
        break;
      case BPF_RET: return Verdict{instruction.k, steps};
      default: return malformed(at);
    }
  }
  return malformed(program.size());
}

}  // namespace

Result<std::uint32_t> evaluate(std::string_view filter, const SyscallAttempt& attempt) {
  return TRY(run(filter, attempt)).answer;
}

Result<std::uint32_t> instructions_run(std::string_view filter, const SyscallAttempt& attempt) {
  return TRY(run(filter, attempt)).steps;
}

}  // namespace tare::sandbox
