#include "sys/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <string>

#include "sys/files.h"

#ifndef MFD_EXEC
  #define MFD_EXEC 0x0010U
#endif
#ifndef MFD_NOEXEC_SEAL
  #define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace tare::sys {

namespace {

// MFD_EXEC and MFD_NOEXEC_SEAL are from 6.3; older kernels refuse them with EINVAL and need none.
int create(const std::string& name, unsigned flags, unsigned exec_flag) {
  const int fd = ::memfd_create(name.c_str(), flags | exec_flag);
  return fd >= 0 || errno != EINVAL ? fd : ::memfd_create(name.c_str(), flags);
}

}  // namespace

Result<UniqueFd> sealed_memfd(std::string_view name, std::string_view bytes, bool executable) {
  UniqueFd fd(create(std::string(name), MFD_CLOEXEC | MFD_ALLOW_SEALING,
                     executable ? MFD_EXEC : MFD_NOEXEC_SEAL));
  if (!fd.valid()) return sys_error(errno, "memfd_create");
  TRY(write_all(fd.get(), bytes).context("memfd"));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return sys_error(errno, "memfd");
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return sys_error(errno, "seal memfd");
  return fd;
}

}  // namespace tare::sys
