// Bytes straight from a pipe into a file, and the holes one can make in that file.
// EINTR retried, errno turned into an Error naming the call. Sources: splice(2), poll(2),
// fallocate(2) (PUNCH_HOLE), fdatasync(2). Threads: stateless.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace tare::sys {

enum class PipeState : std::uint8_t {
  moved,    // bytes were moved
  drained,  // nothing there now
  ended,    // nothing there and no writer left
};
struct Spliced {
  std::size_t bytes = 0;
  PipeState state = PipeState::moved;
};
// Moves up to `max_bytes` from a pipe into a file at `offset`, inside the kernel: a byte that has
// left the pipe is in the file, whatever becomes of this process. Never waits for the pipe. The
// file must not be O_APPEND.
Result<Spliced> splice_to_file(int pipe, int file, std::uint64_t offset, std::size_t max_bytes);

// The same from a terminal's master, by way of this process: what was read and is not written yet
// is lost with it. `ended`: nobody has the terminal open (any more, or yet).
Result<Spliced> copy_to_file(int terminal, int file, std::uint64_t offset, std::size_t max_bytes);

// The same without moving anything: `moved` when there is something to move.
Result<PipeState> peek_pipe(int pipe);

// Gives the disk space of the range back; the length stays, the range reads as zeros.
Result<> punch_hole(int fd, std::uint64_t offset, std::uint64_t length);

// The bytes and the length reach the disk; times may not.
Result<> sync_data(int fd);

}  // namespace tare::sys
