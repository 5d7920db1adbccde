// What a sandbox costs: the same static program in Tare, in bubblewrap, in runc and in
// systemd-nspawn, measured in turn in one run, so that whatever else the machine does falls on all
// of them alike.
//
//   ./dev bench sandbox [--json] [--n 200] [--only ROW] [--full] [--alone]
//
//   claim_launcher  launch message sent -> first instruction of the program, told by itself, in a
//                   sandbox that was waiting in the pool; one launch after the other
//   claim_paced     the same after a pause of 30 ms each: processors have to wake up first
//   claim_api       POST /v1/runs sent -> first instruction, through tared with its durable commit;
//                   after a pause, too. Peer of these three: the same program's first
//                   instruction after a plain fork and execve, the kernel's own floor
//   claim_refill    as claim_launcher, while makers refill the pool, a pause of 1 ms before each;
//                   peer, and its own row claim_full: the same with a full pool and idle makers,
//                   in turn
//   fresh           launch message sent -> end received; no pool: all namespaces, overlay, cgroups
//                   and limits made for it. Peers: fork -> exit of the whole command; and the
//                   kernel's floor: a process in new namespaces that executes the same program
//   start           the part of `fresh` up to the program's execve, as the launcher measures it
//   warm            as fresh, from the pool
//   cold            as fresh, the first launch after the launcher's own start
//   burst100        100 launches sent at once -> each one's end
//   staggered       as claim_launcher, one launch every 10 ms, whether those before have ended
//   mounts500       as fresh, with 500 mounts more on the host when the launcher starts; peer: less
//   grown1g         as fresh, asked for by a process grown by 1 GiB, as tared may be; peers: one
//                   that has not, and a fork of the grown one with nothing done in it
//   churn           sandboxes per second, made and taken down, 8 at a time, no pool (--full: for
//                   a minute)
//   idle_memory     memory of the machine per sandbox that waits (200 of them, --full: 2,000)
//   kill_reap       kill message sent -> end received, of a sandbox with 20 processes
//   runner_change   as claim_api, of an agent's run right after `runner use` gave it another
//                   runner; peer: the same without a change; with it come
//   runner_swap     POST /v1/sessions/ID/runner until its answer, of a version that was tried in
//                   this environment before: exchanged, seen inside, and confirmed by a handshake
//                   (of a program that only prints)
//   runner_swap_python, runner_swap_node
//                   the same with the runners that ship, whose handshakes are isolated
//   runner_swap_new, runner_swap_new_python, runner_swap_new_node
//                   the same right behind the `tare runner add` of that version, with nothing in
//                   between
//   runner_add, runner_add_python, runner_add_node
//                   that `tare runner add`, the whole process: it has the version tried in the
//                   session's environment; its peer adds one of a runner that no session has
//   runner_exchange the part in which the session stands still, from tared's message on
//   cli             whole process `tare run --env host -- /bin/true` against whole `bwrap ... true`
//
// Exit status 1: a peer does not start, which is said, and its rows are missing.
// --alone: `fresh` without its peers, for bench/launch_steps.py.
// `missed`: for how many of the row's launches none was waiting in the pool. In the four rows of
// claims by the launcher their times are left out, in all others they are in.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "sandbox/rows.h"

int main(int argc, char** argv) {
  using namespace tare::bench;
  Options options;
  for (int i = 1; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (std::strcmp(argv[i], "--json") == 0) {
      options.json = true;
    } else if (std::strcmp(argv[i], "--full") == 0) {
      options.full = true;
    } else if (std::strcmp(argv[i], "--alone") == 0) {
      options.alone = true;
    } else if (std::strcmp(argv[i], "--n") == 0 && more) {
      options.n = std::max(1, std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "--only") == 0 && more) {
      options.only = argv[++i];
    } else {
      std::fprintf(
          stderr,
          "usage: ./dev bench sandbox [--json] [--n COUNT] [--only ROW] [--full] [--alone]\n");
      return 64;
    }
  }
  if (::geteuid() != 0) {
    std::fprintf(stderr, "bench sandbox: must be root, to make sandboxes\n");
    return 77;
  }
  return run_rows(options);
}
