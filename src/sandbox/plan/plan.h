// The plan: what tare-init does inside a new sandbox, as a list of steps, in two parts. The base
// plan makes an empty sandbox with a process in it that waits to become a program; it is the same
// for many runs, and applied ahead of time where a sandbox waits in the pool. The run's plan makes
// it the sandbox of one run and starts the program, or serves as a session. An exec in a live
// sandbox has a plan of its own, of program steps alone. All are compiled by pure functions
// (compile.h); tare-init interprets them (init/apply.cpp); `tare run
// --dry-run` prints them (render.h). Encoded flat (codec.h) and handed over in sealed memfds.
//
// Shared with tare-init, so: no allocation, no exceptions, nothing but values here.
#pragma once

#include <cstdint>
#include <string_view>

namespace tare::sandbox {

enum class Op : std::uint8_t {
  // The sandbox itself, by tare-init with the rights of root in its own user namespace. What is to
  // be
  // made or filled is left out where something else is in its place, or on the way to it.
  own_cgroups = 1,  // a cgroup namespace whose root is the sandbox's own cgroups
  hostname,         // a: the name
  loopback,         // brings lo up
  enter_root,       // a: where the launcher assembled the root; becomes "/", all else is detached
  proc,             // a: mount point
  devpts,           // a
  mqueue,           // a
  mask_file,        // a: shows /dev/null instead
  mask_dir,         // a: shows an empty read-only folder instead; before mqueue
  read_only,        // a: a subtree becomes read-only
  fill_file,        // a, b: content; a file that the base plan has made
  make_dir,         // a, n: mode, m: owner inside; one that exists only changes its owner
  write_file,       // a, b: content, n: mode; replaces a file or symlink of that name
  ensure_user,      // a: name, n: uid; added to /etc/passwd and /etc/group if no entry has the uid
  input,            // a: mount point; shows the read-only folder that came with the order there
  bound,            // m: capabilities that anything inside can ever hold (bit mask), from here on
  settle,  // n: the reserved uid tare-init lives on as, m: capabilities it keeps (bit mask)

  // The program, in the child that will become it.
  resource,         // n: RLIMIT_*, m: soft and hard value
  working_dir,      // a
  identity,         // n: uid, m: gid
  capabilities,     // m: bit mask that the program may hold (0 for all but the build profile)
  confine,          // n: Landlock rights that are handled, m: scopes; begins a ruleset
  confine_beneath,  // a: path, n: rights that stay; one that is no folder is passed over
  confined,         // the ruleset holds from here on
  filter,           // a: BPF program (struct sock_filter array)
  argument,         // a: appended to argv
  variable,         // a: "NAME=value", appended to the environment
  execute,          // last step of a run's or an exec's plan; n: how (Execute)
  prepared,         // last step of the base plan: the child waits for its run
  serve,            // last step of a session's plan: tare-init serves execs until it is killed
  terminal,         // n: rows, m: columns; makes a terminal inside: the program's stdio and its
                    // controlling terminal; its master goes to tare-init
};

// How `execute` begins.
enum class Execute : std::uint64_t {
  gated = 0,  // when the gate opens
  now,        // at once: an exec
  handed_in,  // at once, and the program is the descriptor that came with the exec, not argv[0]
};

struct StepView {
  Op op = Op::execute;
  std::string_view a, b;
  std::uint64_t n = 0, m = 0;
};

// Where the launcher assembles the root of a new sandbox, in its own mount namespace.
inline constexpr std::string_view kStageRoot = "/stage/root";

inline constexpr std::uint32_t kPlanMagic = 0x4C504154;  // "TAPL"
inline constexpr std::uint32_t kPlanVersion = 5;         // launcher, init and tared must agree
inline constexpr std::uint32_t kMaxPlanBytes = 4U << 20;
inline constexpr std::uint32_t kMaxPlanSteps = 16'384;
// The uid inside that only tare-init has: an agent that is root inside still cannot touch it.
inline constexpr std::uint32_t kInitUid = 65'533;
// Where a program with a runner finds the pipe that it reports to.
inline constexpr int kReportFd = 5;
inline constexpr std::uint32_t kIdRange = 65'536;  // ids of one sandbox

// "mount proc", "enter root", ...: for people.
std::string_view op_name(Op op);
bool is_op(std::uint8_t value);
// Done by the child that becomes the program, rather than by tare-init itself.
constexpr bool is_program_step(Op op) { return op >= Op::resource && op != Op::serve; }
// A plan ends with one of these, and has none before.
constexpr bool is_last_step(Op op) {
  return op == Op::execute || op == Op::prepared || op == Op::serve;
}

}  // namespace tare::sandbox
