#include "host/profiles.h"

#include <linux/capability.h>
#include <sys/socket.h>

#include <algorithm>

#include "model/profile.h"
#include "sandbox/plan/compile.h"
#include "sandbox/seccomp/profile.h"

namespace tare::host {

namespace {

struct Named {
  int number;
  std::string_view name;
};
// All that capabilities_of() can give; ProfileDescriptions.* counts them.
constexpr Named kCapabilities[] = {{CAP_CHOWN, "CHOWN"},   {CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
                                   {CAP_FOWNER, "FOWNER"}, {CAP_SETGID, "SETGID"},
                                   {CAP_SETUID, "SETUID"}, {CAP_SYS_CHROOT, "SYS_CHROOT"}};
constexpr Named kFamilies[] = {{AF_UNIX, "unix"},
                               {AF_INET, "inet (TCP, UDP)"},
                               {AF_INET6, "inet6 (TCP, UDP)"},
                               {AF_NETLINK, "netlink (routes only)"}};

std::string_view summary_of(model::Profile profile) {
  switch (profile) {
    case model::Profile::strict:
      return "for code that only computes: files, processes and unix sockets, no internet sockets, "
             "not even to itself";
    case model::Profile::standard:
      return "what ordinary programs need; internet sockets reach the sandbox's own loopback "
             "and nothing else";
    case model::Profile::build:
      return "for package installers: default, and root inside may change owners, become other "
             "users and chroot, in its own user namespace only";
  }
  return "";
}

// Which list a call belongs in.
std::vector<std::string_view>& list_of(ProfileDescription& out, const sandbox::SyscallRule& rule) {
  if (!rule.cases.empty()) return out.conditional;
  if (rule.otherwise == sandbox::Verdict::nothing) return out.ignored;
  return rule.otherwise == sandbox::Verdict::allowed ? out.allowed : out.refused;
}

void add_families(ProfileDescription& out, const sandbox::SyscallRule& rule) {
  for (const Named& family : kFamilies) {
    const bool some = std::ranges::any_of(rule.cases, [&](const sandbox::Case& one) {
      const sandbox::ArgumentTest& test = one.tests.front();
      return (static_cast<std::uint64_t>(family.number) & test.mask) == test.value;
    });
    if (some) out.sockets.push_back(family.name);
  }
}

}  // namespace

ProfileDescription describe(model::Profile profile) {
  ProfileDescription out;
  out.name = model::to_string(profile);
  out.summary = summary_of(profile);
  const std::uint64_t capabilities = sandbox::capabilities_of(profile);
  for (const Named& capability : kCapabilities) {
    if ((capabilities >> capability.number & 1) != 0) out.capabilities.push_back(capability.name);
  }
  for (const sandbox::SyscallRule& rule : sandbox::rules_of(profile)) {
    list_of(out, rule).push_back(rule.name);
    if (rule.name == "socket") add_families(out, rule);
  }
  for (auto* list : {&out.allowed, &out.conditional, &out.refused, &out.ignored})
    std::sort(list->begin(), list->end());
  return out;
}

std::vector<ProfileDescription> describe_profiles() {
  return {describe(model::Profile::strict), describe(model::Profile::standard),
          describe(model::Profile::build)};
}

}  // namespace tare::host
