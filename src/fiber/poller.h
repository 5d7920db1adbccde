// Poller: the epoll instance of a loop and its wake-up eventfd. Private to src/fiber. Loop thread
// only, except interrupt(). Source: epoll(7).
//
// Two ways to be told: `Source` for our own sockets (edge-triggered, registered once for life), and
// the readiness lists for descriptors of others (wait.h; level-triggered, one shot, removed when
// nobody waits).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/result.h"
#include "fiber/time.h"
#include "fiber/wait_list.h"
#include "sys/fd.h"

namespace tare::fiber {

class Poller {
 public:
  // A descriptor of ours. on_events may wake waiters and cancel scopes; it must not destroy a
  // Source.
  class Source {
   public:
    virtual void on_events(std::uint32_t epoll_events) = 0;

   protected:
    ~Source() = default;
  };

  static Result<std::unique_ptr<Poller>> create();
  ~Poller();

  // Tells when it can be read, ends or breaks.
  Result<> add(int fd, Source& source);
  // From here on also when it can be written, at once if it can be now. Not from the beginning: the
  // other end of a UNIX socket would wake this loop with every message that it reads.
  Result<> tell_writable(int fd, Source& source);
  void remove(int fd);

  enum class Direction : std::uint8_t { in, out };
  // Links the waiter until the descriptor is ready. `drop` takes back the interest after the wait.
  Result<> want(int fd, Direction direction, WaitLink& link);
  void drop(int fd);

  // Sleeps until something happens or the time has come, and tells everyone concerned.
  void poll(std::optional<Duration> timeout);
  // Ends a sleeping poll(). Any thread.
  void interrupt();

 private:
  struct Foreign;
  Poller(sys::UniqueFd epoll, sys::UniqueFd wake);
  Result<> set(int operation, int fd, std::uint32_t events, Source& source);
  Result<> arm(Foreign& foreign, int operation);

  sys::UniqueFd epoll_;
  sys::UniqueFd wake_;
  std::unordered_map<int, std::unique_ptr<Foreign>> foreign_;
};

}  // namespace tare::fiber
