// Waiting for a descriptor that somebody else owns: a pipe, a SEQPACKET socket, a pidfd, an
// eventfd, a terminal. Nothing about the descriptor is changed (O_NONBLOCK stays as it is: it may
// be shared with other processes).
//
// Returns when poll(2) would report it readable or writable, or that the other end is gone or it is
// in error: the next read or write tells which. Several fibers may wait for one descriptor; all are
// woken, so a blocking descriptor should have one waiter. The owner must not close it while a fiber
// waits. Errors: Errc::cancelled, Errc::timeout; Errc::invalid for a descriptor that cannot be
// polled (a regular file is always ready: do not wait for it).
#pragma once

#include "base/result.h"
#include "fiber/context.h"

namespace tare::fiber {

Result<> wait_readable(int fd, const Context& ctx);
Result<> wait_writable(int fd, const Context& ctx);

}  // namespace tare::fiber
