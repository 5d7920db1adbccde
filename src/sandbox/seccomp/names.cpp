#include "sandbox/seccomp/names.h"

#include <seccomp.h>
#include <stdlib.h>

#include <memory>

#include <fmt/format.h>

namespace tare::sandbox {

namespace {

std::string plain_name(std::uint32_t arch, std::uint32_t number) {
  const std::unique_ptr<char, decltype(&::free)> name(
      ::seccomp_syscall_resolve_num_arch(arch, static_cast<int>(number)), &::free);
  return name != nullptr ? std::string(name.get()) : fmt::format("call {}", number);
}

}  // namespace

std::string name_of(const DeniedCall& call) {
  switch (call.abi) {
    case CallAbi::x86_64: return plain_name(SCMP_ARCH_X86_64, call.number);
    case CallAbi::x32: return "x32 " + plain_name(SCMP_ARCH_X32, call.number + kX32Bit);
    case CallAbi::i386: return "i386 " + plain_name(SCMP_ARCH_X86, call.number);
    case CallAbi::other: break;
  }
  return "others";
}

}  // namespace tare::sandbox
