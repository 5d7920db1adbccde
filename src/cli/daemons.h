// The daemons of one home as processes: which are up, starting one, finding the one that listens on
// a socket, ending it. What they say goes to $TARE_HOME/log/<program>.log.
//
// A daemon is up when a living process holds its socket; that is learned without bothering it.
// Processes are held by pidfd, so a reused pid is never signalled. Needs root, except is_up().
// Threads: one. Errors name the program and end with the last lines of its log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/home.h"
#include "fiber/context.h"
#include "sys/spawn.h"

namespace tare::cli {

inline constexpr std::string_view kLauncher = "tare-launcher";
inline constexpr std::string_view kStore = "tare-store";
inline constexpr std::string_view kTared = "tared";

// Beside this program, or in libexec/tare. Errors: Errc::unavailable, naming the places.
Result<std::string> find_program(std::string_view name);

// Does a living process hold the socket at this path?
bool is_up(const std::string& socket_path);

// Our environment for a child: everything but the API key.
std::vector<std::string> child_environment();

struct Daemon {
  std::string name;
  sys::Process process;
  std::uint64_t log_begin = 0;  // size of the log when it was started
};

Result<Daemon> start_daemon(const Home& home, std::string_view name,
                            const std::vector<std::string>& arguments);

// What it logged since it was started: the last lines, each after two spaces. "" when there is
// nothing.
std::string last_log_lines(const Home& home, const Daemon& daemon);

// Of one that ended while starting: Errc::internal with its log, or Errc::denied with the reason.
Error why_ended(const Home& home, const Daemon& daemon);

// Waits until it holds the socket. why_ended() when it ends before, Errc::timeout with ctx.
Result<> wait_until_up(const Home& home, const Daemon& daemon, const std::string& socket_path,
                       const fiber::Context& ctx);

// The process that listens on the socket, if there is one and it is `name`.
Result<std::optional<sys::Process>> find_daemon(std::string_view name,
                                                const std::string& socket_path,
                                                const fiber::Context& ctx);

// SIGTERM; after `patience` SIGKILL. True when the second was needed.
Result<bool> end_process(const sys::Process& process, fiber::Duration patience,
                         const fiber::Context& ctx);

}  // namespace tare::cli
