// A BPF program in the making: instructions with labels for where they jump. Forward only, as the
// kernel wants it. Pure.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace tare::sandbox {

class Assembler {
 public:
  using Label = std::size_t;

  Label label();
  void place(Label label);  // the next instruction's

  void load(std::uint32_t offset);  // of struct seccomp_data, into A
  void mask(std::uint32_t bits);
  enum class Compare : std::uint16_t { equal = BPF_JEQ, at_least = BPF_JGE };
  void jump_if(Compare compare, std::uint32_t value, Label yes, Label no);
  void answer(std::uint32_t value);

  // Errc::exhausted when a jump is too long.
  Result<std::string> finish() const;

 private:
  struct Instruction {
    std::uint16_t code = 0;
    std::uint32_t k = 0;
    Label yes = 0, no = 0;  // of a jump
  };
  std::vector<Instruction> code_;
  std::vector<std::size_t> places_;  // by label
};

}  // namespace tare::sandbox
