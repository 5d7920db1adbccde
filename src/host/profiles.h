// What each profile gives and refuses, for people and tools to read: made from the tables that the
// sandbox is made from, so that it cannot say anything else. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/sandbox_spec.h"

namespace tare::host {

struct ProfileDescription {
  std::string_view name, summary;
  std::vector<std::string_view> capabilities;  // of its own user namespace; without CAP_
  std::vector<std::string_view> sockets;       // families
  // System calls by name: always allowed; allowed with some arguments; refused with EPERM or ENOSYS
  // whatever the arguments; answered as done, and not done. Any other number answers ENOSYS.
  std::vector<std::string_view> allowed, conditional, refused, ignored;
};

ProfileDescription describe(model::Profile profile);
// All, from the narrowest to the widest.
std::vector<ProfileDescription> describe_profiles();

}  // namespace tare::host
