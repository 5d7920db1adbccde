#include "sandbox/plan/plan.h"

namespace tare::sandbox {

std::string_view op_name(Op op) {
  switch (op) {
    case Op::own_cgroups: return "hide outer cgroups";
    case Op::hostname: return "set hostname";
    case Op::loopback: return "bring up lo";
    case Op::enter_root: return "enter root";
    case Op::proc: return "mount proc";
    case Op::devpts: return "mount devpts";
    case Op::mqueue: return "mount mqueue";
    case Op::mask_file: return "mask file";
    case Op::mask_dir: return "mask folder";
    case Op::read_only: return "make read-only";
    case Op::make_dir: return "make folder";
    case Op::write_file: return "write file";
    case Op::fill_file: return "fill file";
    case Op::ensure_user: return "ensure user";
    case Op::input: return "show input";
    case Op::bound: return "bound capabilities";
    case Op::settle: return "settle init as uid";
    case Op::resource: return "limit resource";
    case Op::working_dir: return "working folder";
    case Op::identity: return "become";
    case Op::capabilities: return "capabilities";
    case Op::confine: return "landlock handles";
    case Op::confine_beneath: return "landlock allows beneath";
    case Op::confined: return "landlock holds";
    case Op::filter: return "system call filter";
    case Op::argument: return "argument";
    case Op::variable: return "variable";
    case Op::execute: return "execute";
    case Op::prepared: return "wait for the run";
    case Op::serve: return "serve";
    case Op::terminal: return "terminal";
  }
  return "unknown step";
}

bool is_op(std::uint8_t value) {
  return value >= static_cast<std::uint8_t>(Op::own_cgroups) &&
         value <= static_cast<std::uint8_t>(Op::terminal);
}

}  // namespace tare::sandbox
