#include "cli/daemons.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/core.h>

#include "base/limits.h"
#include "cli/render.h"
#include "fiber/socket.h"
#include "fiber/timer.h"
#include "fiber/wait.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/seqpacket.h"

namespace tare::cli {
namespace {

constexpr fiber::Duration kPollInterval = std::chrono::milliseconds(5);
constexpr std::size_t kLogLines = 8;
constexpr std::size_t kLogTailBytes = 16 * 1024;
constexpr std::string_view kSecretVariable = "TARE_API_KEY=";
// Of those that answer requests, as nice(1): a run is some twenty hand-overs between them, each of
// which would wait for the turn of whatever keeps the processors busy.
constexpr int kAnswering = -10;

Result<std::string> own_folder() {
  const auto self = TRY(sys::read_link_at(sys::kCwd, "/proc/self/exe"));
  return self.substr(0, self.rfind('/'));
}

// A socket of the wrong type: the kernel says EPROTOTYPE when somebody holds the name, ECONNREFUSED
// when nobody does; the holder never notices (unix_find_other in net/unix/af_unix.c).
int knock(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.data(), path.size());
  const sys::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return 0;
  return errno;
}

// pid of the peer, or nullopt when nobody listens.
Result<std::optional<pid_t>> listener_of(std::string_view name, const std::string& path,
                                         const fiber::Context& ctx) {
  if (!is_up(path)) return std::optional<pid_t>();
  if (name == kTared) {
    auto socket = TRY(fiber::connect_unix(path, ctx));
    return std::optional(std::get<fiber::UnixPeer>(socket.peer()).pid);
  }
  const auto socket = TRY(sys::connect_seqpacket(path));
  return std::optional(TRY(sys::peer_credentials(socket.get())).pid);
}

}  // namespace

Result<std::string> find_program(std::string_view name) {
  const std::string own = TRY(own_folder());
  for (const std::string& folder :
       {own, own + "/../libexec/tare", std::string("/usr/libexec/tare")}) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Error{Errc::unavailable,
               fmt::format("the program {} is neither in {} nor in {}/../libexec/tare: "
                           "install Tare completely",
                           name, own, own)};
}

bool is_up(const std::string& socket_path) {
  const int error = knock(socket_path);
  return error == 0 || error == EPROTOTYPE;
}

std::vector<std::string> child_environment() {
  std::vector<std::string> out;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with(kSecretVariable)) out.emplace_back(*variable);
  }
  return out;
}

Result<Daemon> start_daemon(const Home& home, std::string_view name,
                            const std::vector<std::string>& arguments) {
  const std::string program = TRY(find_program(name));
  const auto log = TRY(
      sys::open_at(sys::kCwd, home.log_of(name), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640));
  const auto log_begin = static_cast<std::uint64_t>(TRY(sys::stat_fd(log.get())).st_size);
  sys::SpawnOptions options{
      .program = program, .argv = {std::string(name)}, .env = child_environment()};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.out = options.err = log.get();
  options.new_session = true;
  Daemon daemon{std::string(name), TRY(sys::spawn(options)), log_begin};
  // An ordinary user may not: theirs wait for their turn.
  if (name != kStore) (void)sys::set_priority(daemon.process.pid(), kAnswering);
  return daemon;
}

std::string last_log_lines(const Home& home, const Daemon& daemon) {
  auto log = sys::open_at(sys::kCwd, home.log_of(daemon.name), O_RDONLY | O_NOFOLLOW);
  if (!log) return "";
  auto st = sys::stat_fd(log->get());
  if (!st) return "";
  const auto size = static_cast<std::uint64_t>(st->st_size);
  std::uint64_t from = daemon.log_begin;
  if (size > kLogTailBytes) from = std::max(from, size - kLogTailBytes);
  std::string text(size > from ? size - from : 0, '\0');
  auto read = sys::read_at(log->get(), std::as_writable_bytes(std::span(text)), from);
  text.resize(read ? *read : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::size_t begin = text.size();
  for (std::size_t lines = 0; lines < kLogLines && begin != std::string::npos && begin > 0;
       ++lines) {
    begin = text.rfind('\n', begin - 1);
  }
  if (begin != std::string::npos && begin < text.size()) text.erase(0, begin + 1);
  std::string out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    out += fmt::format("\n  {}", text.substr(0, end));
    text.erase(0, end == std::string::npos ? end : end + 1);
  }
  return out;
}

// Why it ended, from its log. Where this user may not have what it needs the reason, with its fix,
// is all there is to say.
Error why_ended(const Home& home, const Daemon& daemon) {
  const std::string lines = last_log_lines(home, daemon);
  const auto last = parse_json(std::string_view(lines).substr(lines.rfind('\n') + 1));
  if (last && text_at(*last, {"code"}) == to_string(Errc::denied)) {
    if (std::string why = text_at(*last, {"error"}); !why.empty())
      return Error{Errc::denied, printable(why, 600)};
  }
  return Error{Errc::internal, fmt::format("{} ended while starting; the end of {}:{}", daemon.name,
                                           home.log_of(daemon.name), lines)};
}

Result<> wait_until_up(const Home& home, const Daemon& daemon, const std::string& socket_path,
                       const fiber::Context& ctx) {
  while (!is_up(socket_path)) {
    if (daemon.process.ended()) return why_ended(home, daemon);
    auto slept = fiber::sleep_for(kPollInterval, ctx);
    if (slept) continue;
    if (slept.error().code != Errc::timeout) return slept;
    return Error{Errc::timeout,
                 fmt::format("{} does not listen on {}; the end of {}:{}", daemon.name, socket_path,
                             home.log_of(daemon.name), last_log_lines(home, daemon))};
  }
  return ok();
}

Result<std::optional<sys::Process>> find_daemon(std::string_view name,
                                                const std::string& socket_path,
                                                const fiber::Context& ctx) {
  const auto pid = TRY(listener_of(name, socket_path, ctx));
  if (!pid) return std::optional<sys::Process>();
  auto process = TRY(sys::Process::open(*pid));
  // Checked after the pidfd is held: what is looked at is what will be signalled.
  const auto comm = TRY(sys::read_file_at(sys::kCwd, fmt::format("/proc/{}/comm", *pid)));
  if (comm != fmt::format("{}\n", name)) {
    return Error{Errc::conflict,
                 fmt::format("{} is held by another program (pid {})", socket_path, *pid)};
  }
  return std::optional(std::move(process));
}

Result<bool> end_process(const sys::Process& process, fiber::Duration patience,
                         const fiber::Context& ctx) {
  auto asked = process.signal(SIGTERM);
  if (!asked)
    return asked.error().code == Errc::not_found ? Result(false) : std::move(asked).error();
  auto waited = fiber::wait_readable(process.pidfd(), ctx.with_timeout(patience));
  if (waited) return false;
  if (waited.error().code != Errc::timeout) return std::move(waited).error();
  static_cast<void>(process.signal(SIGKILL));
  TRY(fiber::wait_readable(process.pidfd(), ctx));
  return true;
}

}  // namespace tare::cli
