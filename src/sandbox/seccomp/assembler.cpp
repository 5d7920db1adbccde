#include "sandbox/seccomp/assembler.h"

#include <cstring>

#include "base/check.h"

namespace tare::sandbox {

namespace {

constexpr std::size_t kNowhere = ~std::size_t{0};
constexpr std::size_t kLongestJump = 255;

}  // namespace

Assembler::Label Assembler::label() {
  places_.push_back(kNowhere);
  return places_.size() - 1;
}

void Assembler::place(Label label) {
  CHECK(places_[label] == kNowhere);
  places_[label] = code_.size();
}

void Assembler::load(std::uint32_t offset) {
  code_.push_back({BPF_LD | BPF_W | BPF_ABS, offset, 0, 0});
}

void Assembler::mask(std::uint32_t bits) {
  code_.push_back({BPF_ALU | BPF_AND | BPF_K, bits, 0, 0});
}

void Assembler::jump_if(Compare compare, std::uint32_t value, Label yes, Label no) {
  const auto code = static_cast<std::uint16_t>(BPF_JMP | BPF_K |
                                               static_cast<std::uint16_t>(compare));
  code_.push_back({code, value, yes, no});
}

void Assembler::answer(std::uint32_t value) { code_.push_back({BPF_RET | BPF_K, value, 0, 0}); }

Result<std::string> Assembler::finish() const {
  std::string bytes;
  for (std::size_t at = 0; at < code_.size(); ++at) {
    const Instruction& from = code_[at];
    sock_filter to = {from.code, 0, 0, from.k};
    if (BPF_CLASS(from.code) == BPF_JMP) {
      CHECK(places_[from.yes] > at && places_[from.no] > at);
      const std::size_t yes = places_[from.yes] - at - 1;
      const std::size_t no = places_[from.no] - at - 1;
      if (yes > kLongestJump || no > kLongestJump)
        return Error{Errc::exhausted, "the filter is too large for its jumps"};
      to.jt = static_cast<std::uint8_t>(yes);
      to.jf = static_cast<std::uint8_t>(no);
    }
    char raw[sizeof to];
    std::memcpy(raw, &to, sizeof to);
    bytes.append(raw, sizeof raw);
  }
  return bytes;
}

}  // namespace tare::sandbox
