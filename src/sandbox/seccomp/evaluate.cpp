#include "sandbox/seccomp/evaluate.h"

#include <linux/seccomp.h>

#include <cstring>

namespace tare::sandbox {

namespace {

Error malformed(std::size_t at) {
  return Error{Errc::invalid, "filter is malformed at instruction " + std::to_string(at)};
}

bool is_conditional(const sock_filter& instruction) {
  return BPF_CLASS(instruction.code) == BPF_JMP && BPF_OP(instruction.code) != BPF_JA;
}

bool holds(const sock_filter& instruction, std::uint32_t a) {
  switch (BPF_OP(instruction.code)) {
    case BPF_JEQ: return a == instruction.k;
    case BPF_JGT: return a > instruction.k;
    case BPF_JGE: return a >= instruction.k;
    case BPF_JSET: return (a & instruction.k) != 0;
    default: return false;
  }
}

seccomp_data data_of(const SyscallAttempt& attempt) {
  seccomp_data data = {};
  data.nr = static_cast<int>(attempt.number);
  data.arch = attempt.arch;
  std::memcpy(data.args, attempt.arguments.data(), sizeof data.args);
  return data;
}

}  // namespace

Judge::Judge(std::string_view filter)
    : whole_(filter.size() % sizeof(sock_filter) == 0),
      program_(filter.size() / sizeof(sock_filter)),
      seen_(program_.size()) {
  std::memcpy(program_.data(), filter.data(), program_.size() * sizeof(sock_filter));
}

Result<Judged> Judge::judge(const SyscallAttempt& attempt) {
  if (!whole_) return malformed(0);
  const seccomp_data data = data_of(attempt);
  Judged judged;
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < program_.size(); ++at) {
    const sock_filter& instruction = program_[at];
    Seen& seen = seen_[at];
    seen.executed = true;
    ++judged.steps;
    switch (BPF_CLASS(instruction.code)) {
      case BPF_LD:
        if (instruction.code != (BPF_LD | BPF_W | BPF_ABS) || instruction.k % 4 != 0 ||
            instruction.k > sizeof data - 4)
          return malformed(at);
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + instruction.k, sizeof a);
        break;
      case BPF_ALU:
        if (instruction.code != (BPF_ALU | BPF_AND | BPF_K)) return malformed(at);
        a &= instruction.k;
        break;
      case BPF_JMP:
        if (!is_conditional(instruction)) {
          at += instruction.k;
        } else if (holds(instruction, a)) {
          seen.taken = true;
          at += instruction.jt;
        } else {
          seen.passed = true;
          at += instruction.jf;
        }
        break;
      case BPF_RET: judged.answer = instruction.k; return judged;
      default: return malformed(at);
    }
  }
  return malformed(program_.size());
}

std::vector<std::string> Judge::uncovered() const {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < program_.size(); ++at) {
    const std::string number = std::to_string(at);
    if (!seen_[at].executed) {
      all.push_back("instruction " + number + " was never executed");
    } else if (is_conditional(program_[at])) {
      if (!seen_[at].taken) all.push_back("jump " + number + " was never taken");
      if (!seen_[at].passed) all.push_back("jump " + number + " was always taken");
    }
  }
  return all;
}

Result<std::uint32_t> evaluate(std::string_view filter, const SyscallAttempt& attempt) {
  return TRY(Judge(filter).judge(attempt)).answer;
}

}  // namespace tare::sandbox
