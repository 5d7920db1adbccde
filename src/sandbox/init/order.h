// Descriptors over a socket, and plans in memory: how orders come from the launcher to tare-init
// and from there to the waiting program. Raw calls, no allocation.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string_view>

#include "sandbox/launch/report.h"

namespace tare::sandbox::init {

// One packet of up to `size` bytes with at most `most` (at most 8) descriptors, close-on-exec; the
// rest of `fds` is set to -1. Its length; 0 when the other end is closed, -1 when it is longer.
ssize_t receive_packet(int socket, void* bytes, std::size_t size, int* fds, int most);
// 0 or errno.
int send_packet(int socket, const void* bytes, std::size_t size, const int* fds, int count);

// One packet of one byte with `least` to `most` (at most 8) descriptors, close-on-exec. The rest of
// `fds` is set to -1. False when it is anything else, or the other end is closed.
bool receive_fds(int socket, char& byte, int* fds, int least, int most);
// 0 or errno. The byte is of no meaning.
int send_fds(int socket, const int* fds, int count);
// To the launcher; `fd` (>= 0) beside it. A launcher that is gone cannot be told.
void send_report(const Report& report, int fd = -1);
// A command of the launcher and its descriptors (at most kCommandFds; the rest is -1). False when
// there is none: `gone` says whether the launcher is.
inline constexpr int kCommandFds = 5;
bool receive_command(Command& command, int* fds, bool& gone);
// The bytes of a plan, mapped for good. The descriptor stays open.
bool map_plan(int fd, std::string_view& plan);

}  // namespace tare::sandbox::init
