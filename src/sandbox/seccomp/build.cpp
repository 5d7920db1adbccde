#include "sandbox/seccomp/build.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <type_traits>

#include "sandbox/seccomp/profile.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, decltype(&seccomp_release)>;

// libseccomp answers -errno.
Result<> checked(int result, std::string_view what) {
  if (result < 0) return sys_error(-result, what);
  return ok();
}

constexpr int kDefaultError = ENOSYS;

Result<> add(const Filter& filter, const SyscallRule& rule) {
  if (!rule.allowed && rule.error == kDefaultError)
    return ok();  // libseccomp refuses what says nothing new
  std::vector<scmp_arg_cmp> tests;
  for (const ArgumentTest& test : rule.tests) {
    tests.push_back(scmp_arg_cmp{test.index, SCMP_CMP_MASKED_EQ, test.mask, test.value});
  }
  const std::uint32_t action = rule.allowed
                                   ? SCMP_ACT_ALLOW
                                   : SCMP_ACT_ERRNO(static_cast<std::uint32_t>(rule.error));
  return checked(seccomp_rule_add_array(filter.get(), action, rule.number,
                                        static_cast<unsigned>(tests.size()), tests.data()),
                 rule.name);
}

Result<std::string> exported(const Filter& filter) {
  const sys::UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file.valid()) return sys_error(errno, "memfd_create");
  TRY(checked(seccomp_export_bpf(filter.get(), file.get()), "export filter"));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return sys_error(errno, "lseek");
  return sys::read_all(file.get(), BPF_MAXINSNS * sizeof(sock_filter));
}

}  // namespace

Result<std::string> build_filter(model::Profile profile) {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(kDefaultError)), &seccomp_release);
  if (filter == nullptr) return Error{Errc::internal, "seccomp_init failed"};
  TRY(checked(
      seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(kDefaultError)),
      "bad arch action"));
  TRY(checked(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree"));
  for (const SyscallRule& rule : rules_of(profile)) TRY(add(filter, rule).context("seccomp rule"));
  return exported(filter).context("seccomp filter");
}

}  // namespace tare::sandbox
