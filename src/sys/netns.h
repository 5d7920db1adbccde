// Network namespaces: being in another one for a moment, and making every address local there.
// Thread: any, for itself; the rest of the process stays where it is. Sources: setns(2),
// network_namespaces(7), rtnetlink(7), ip-route(8) ("local"), netdevice(7).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sys/fd.h"

namespace tare::sys {

// The calling thread is in the network namespace of a process, until leave(). One that cannot come
// back is of no more use: the destructor CHECKs.
class [[nodiscard]] InNetworkOf {
 public:
  // `pidfd`: of the process. Needs CAP_SYS_ADMIN in its user namespace and in our own.
  static Result<InNetworkOf> enter(int pidfd);
  InNetworkOf(InNetworkOf&&) noexcept = default;
  InNetworkOf& operator=(InNetworkOf&&) = delete;
  ~InNetworkOf();

 private:
  explicit InNetworkOf(UniqueFd home) : home_(std::move(home)) {}
  UniqueFd home_;
};

// In the thread's network namespace, by CAP_NET_ADMIN there. Each does nothing that is done.
Result<> bring_loopback_up();
enum class IpFamily : std::uint8_t { v4, v6 };
// Every address of the family is one of this machine's: a connection to it goes to who listens
// here, and is refused at once when nobody does. Errc::unavailable: the kernel has not this family.
Result<> make_every_address_local(IpFamily family);

}  // namespace tare::sys
