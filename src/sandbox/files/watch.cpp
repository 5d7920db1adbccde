// tare-files: what happens in one folder, or to one file. Source: inotify(7).
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/files/out.h"
#include "sandbox/init/raw.h"

namespace tare::sandbox::files {

namespace {

using init::Fd;

constexpr std::uint32_t kWatched = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE |
                                   IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
                                   IN_MOVE_SELF;

bool kind_of(std::uint32_t mask, WatchKind& kind) {
  if ((mask & IN_Q_OVERFLOW) != 0)
    kind = WatchKind::overflow;
  else if ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0)
    kind = WatchKind::gone;
  else if ((mask & IN_CREATE) != 0)
    kind = WatchKind::created;
  else if ((mask & IN_DELETE) != 0)
    kind = WatchKind::removed;
  else if ((mask & IN_MODIFY) != 0)
    kind = WatchKind::modified;
  else if ((mask & IN_CLOSE_WRITE) != 0)
    kind = WatchKind::written;
  else if ((mask & IN_MOVED_FROM) != 0)
    kind = WatchKind::moved_from;
  else if ((mask & IN_MOVED_TO) != 0)
    kind = WatchKind::moved_to;
  else if ((mask & IN_ATTRIB) != 0)
    kind = WatchKind::attributes;
  else
    return false;
  return true;
}

// False after the last one.
bool tell(const inotify_event& event) {
  WatchEvent said;
  if (!kind_of(event.mask, said.kind)) return (event.mask & IN_IGNORED) == 0;
  said.cookie = event.cookie;
  said.directory = (event.mask & IN_ISDIR) != 0 ? 1 : 0;
  said.name_bytes = event.len == 0 ? 0
                                   : static_cast<std::uint32_t>(::strnlen(event.name, event.len));
  put(&said, sizeof said);
  put(event.name, said.name_bytes);
  return said.kind != WatchKind::gone;
}

}  // namespace

int watch_path(const char* path) {
  const Fd events(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!events.valid()) return answer_errno();
  if (::inotify_add_watch(events.get(), path, kWatched) < 0) return answer_errno();
  put_head(0);
  for (;;) {
    flush();
    // Nothing is ever written to our stdin: its end is the wish that this one end.
    pollfd waits[2] = {{events.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0 && errno != EINTR) return 1;
    if (waits[1].revents != 0) return 0;
    alignas(inotify_event) char buffer[4096];
    const ssize_t n = ::read(events.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if (!tell(*event)) return 0;
    }
  }
}

}  // namespace tare::sandbox::files
