// What tare-init waits for, as a table: a descriptor, and who serves it. A turn polls all and
// serves each that is ready once, in order: whatever one of them is flooded with, the others have
// their turn. So everything that serves does a bounded piece of work.
//
// Process: tare-init. No allocation. What never happens: a descriptor is closed here.
#pragma once

#include <poll.h>

namespace tare::sandbox::init {

class Waits {
 public:
  // False: nothing more will come there, and the entry goes.
  using Serve = bool (*)(void* who, int fd, short events);

  // False: the table is full. While serving, too: its first turn is the next one.
  bool add(int fd, Serve serve, void* who);
  // Sleeps until something is ready, then serves. False when it cannot wait.
  bool turn();

 private:
  // Signals, the launcher, the channels of execs that are being started, and the listener of each
  // filter that some process has.
  static constexpr int kMost = 512;
  struct Server {
    Serve serve;
    void* who;
  };

  pollfd polls_[kMost] = {};  // fd -1: free
  Server servers_[kMost] = {};
  int used_ = 0;  // all behind are free
};

}  // namespace tare::sandbox::init
