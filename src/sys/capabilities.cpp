#include "sys/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

namespace tare::sys {

namespace {

Result<> shrink_bounding_set(std::uint64_t kept) {
  for (int capability = 0; capability < 64; ++capability) {
    const int held = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) return ok();  // EINVAL: beyond the last one this kernel knows
    if (held == 0 || ((kept >> capability) & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      return sys_error(errno,
                       "drop capability " + std::to_string(capability) + " from the bounding set");
    }
  }
  return ok();
}

}  // namespace

Result<> keep_only_capabilities(std::uint64_t kept) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return sys_error(errno, "clear ambient capabilities");
  }
  TRY(shrink_bounding_set(kept));
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = data[half].permitted = static_cast<std::uint32_t>(kept >> (32 * half));
  }
  if (::syscall(SYS_capset, &header, data) != 0) return sys_error(errno, "capset");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sys_error(errno, "no_new_privs");
  return ok();
}

Result<> raise_permitted_capabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return sys_error(errno, "capget");
  for (auto& half : data) half.effective = half.permitted;
  if (::syscall(SYS_capset, &header, data) != 0) return sys_error(errno, "capset");
  return ok();
}

namespace {

Result<std::uint64_t> field(std::string_view status, std::string_view name, int base) {
  const std::string key = std::string("\n").append(name).append(":\t");
  const std::size_t at = status.find(key);
  if (at == std::string_view::npos)
    return Error{Errc::invalid, "no field " + std::string(name) + " in status"};
  std::uint64_t value = 0;
  const char* begin = status.data() + at + key.size();
  const auto parsed = std::from_chars(begin, status.data() + status.size(), value, base);
  if (parsed.ec != std::errc())
    return Error{Errc::invalid, "field " + std::string(name) + " is not a number"};
  return value;
}

}  // namespace

Result<CapabilitySets> parse_capability_status(std::string_view status) {
  CapabilitySets sets;
  sets.effective = TRY(field(status, "CapEff", 16));
  sets.permitted = TRY(field(status, "CapPrm", 16));
  sets.inheritable = TRY(field(status, "CapInh", 16));
  sets.bounding = TRY(field(status, "CapBnd", 16));
  sets.ambient = TRY(field(status, "CapAmb", 16));
  sets.no_new_privs = TRY(field(status, "NoNewPrivs", 10)) == 1;
  return sets;
}

}  // namespace tare::sys
