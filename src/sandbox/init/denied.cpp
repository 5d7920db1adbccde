#include "sandbox/init/denied.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tare::sandbox::init {

namespace {

// Debian 12's headers (6.1) do not have them.
constexpr unsigned long kSetFlags = SECCOMP_IOW(4, __u64);
constexpr std::uint64_t kSyncWakeUp = 1;

bool tell(const DeniedCall& call, std::uint64_t count, int flags) {
  const DeniedReport report = DeniedReport::of(call, count);
  return ::send(kControlFd, &report, sizeof report, flags | MSG_NOSIGNAL) == sizeof report;
}

constexpr bool is_power_of_two(std::uint64_t count) { return (count & (count - 1)) == 0; }

}  // namespace

void answer_on_the_same_processor(int listener) { (void)::ioctl(listener, kSetFlags, kSyncWakeUp); }

DeniedCalls::Entry& DeniedCalls::entry_of(const DeniedCall& call) {
  constexpr int kLast = kMaxDeniedCalls - 1;
  for (int i = 0; i < used_; ++i) {
    if (entries_[i].call == call) return entries_[i];
  }
  if (used_ == kLast) {
    entries_[kLast].call = {CallAbi::other, 0};
    return entries_[kLast];
  }
  entries_[used_].call = call;
  return entries_[used_++];
}

bool DeniedCalls::answer(int listener, short events) {
  if ((events & POLLIN) == 0) return false;
  // Does not block: what poll has seen is there, or its process is dead (ENOENT).
  seccomp_notif asked = {};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return true;
  const DeniedCall call = denied_call(asked.data.arch, static_cast<std::uint32_t>(asked.data.nr));
  seccomp_notif_resp answer = {};
  answer.id = asked.id;
  answer.error = -error_of(call);
  (void)::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);  // ENOENT: killed meanwhile
  Entry& entry = entry_of(call);
  ++entry.count;
  if (is_power_of_two(entry.count) && tell(entry.call, entry.count, MSG_DONTWAIT))
    entry.told = entry.count;
  return true;
}

bool serve_listener(void* who, int listener, short events) {
  if (static_cast<DeniedCalls*>(who)->answer(listener, events)) return true;
  ::close(listener);
  return false;
}

void DeniedCalls::tell_totals() {
  for (const Entry& entry : entries_) {
    if (entry.count > entry.told) (void)tell(entry.call, entry.count, 0);
  }
}

}  // namespace tare::sandbox::init
