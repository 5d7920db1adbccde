// What tare-store may do, in one place: compared with the running process by a test, and listed in
// docs/threat_model.md. It stays uid 0 (the store's files are owned by real 0), with these
// capabilities:
//
//   CHOWN         give files to the owners an archive names, and output to tare
//   DAC_OVERRIDE  read and replace files of any owner (includes all of DAC_READ_SEARCH but
//   open_by_handle_at) FOWNER        set modes and times of files of any owner FSETID        keep
//   setuid and setgid bits when modes are set
//
// Not needed: MKNOD (devices are dropped; the overlay's whiteouts need none), SETFCAP (file
// capabilities are dropped), DAC_READ_SEARCH, KILL (its children have its uid), SYS_ADMIN (after
// its network namespace is left).
#pragma once

#include <linux/capability.h>

#include <cstdint>

#include "base/result.h"
#include "sys/capabilities.h"

namespace tare::snapshot {

inline constexpr std::uint64_t kStoreCapabilities = sys::capability_mask(
    {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID});

inline constexpr sys::CapabilitySets kStorePrivileges = {.effective = kStoreCapabilities,
                                                         .permitted = kStoreCapabilities,
                                                         .inheritable = 0,
                                                         .bounding = kStoreCapabilities,
                                                         .ambient = 0,
                                                         .no_new_privs = true};

// For good: groups, capabilities, network, core dumps and ptrace by others. Single-threaded; once,
// at the start.
Result<> drop_privileges();

}  // namespace tare::snapshot
