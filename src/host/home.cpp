#include "host/home.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/json.h"
#include "sys/capabilities.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/users.h"

namespace tare::host {

namespace {

constexpr int kBacklog = 1024;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxKeyFileBytes = 4096;
constexpr int kLastCapability = 63;

struct Folder {
  const char* name;
  unsigned mode;
  bool of_daemon;  // else root's, with the daemon's group
};
constexpr std::array<Folder, 4> kFolders = {{
    {"run", 0750, false},
    {"state", 0700, true},
    {"runs", 0700, true},
    {"blobs", 0700, true},
}};

Result<> make_folders(int home, const sys::SystemUser& user) {
  for (const Folder& folder : kFolders) {
    TRY(sys::ensure_dir_at(home, folder.name, folder.mode));
    const auto fd = TRY(sys::open_beneath(home, folder.name, O_RDONLY | O_DIRECTORY));
    if (::geteuid() != 0) continue;
    TRY(sys::own_fd(fd.get(), folder.of_daemon ? user.uid : 0, user.gid));
    TRY(sys::chmod_fd(fd.get(), folder.mode));
  }
  return ok();
}

Result<sys::UniqueFd> take_lock(int state, const std::string& path) {
  sys::UniqueFd lock = TRY(sys::open_at(state, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (!TRY(sys::try_lock_exclusive(lock.get()))) {
    const std::string pid = TRY(sys::read_file_at(state, "lock", 64));
    return Error{Errc::conflict, fmt::format("another tared (pid {}) holds {}", pid, path)};
  }
  TRY(sys::truncate_fd(lock.get(), 0));
  TRY(sys::write_all(lock.get(), std::to_string(::getpid())));
  return lock;
}

Result<Listeners> listen(const Config& config, const sys::SystemUser& user) {
  fiber::UnixListenOptions options{.mode = 0660, .backlog = kBacklog};
  if (::geteuid() == 0) {
    options.owner = 0;
    options.group = user.gid;
  }
  auto tcp = fiber::TcpListener::bind("127.0.0.1", config.port, kBacklog);
  if (!tcp) {
    return std::move(tcp).error().context(
        fmt::format("port {} (choose another with --port)", config.port));
  }
  return Listeners{TRY(fiber::UnixListener::bind(config.home + "/run/tared.sock", options)),
                   std::move(*tcp)};
}

Result<> write_info(int home, const Listeners& listeners) {
  const Json info = JsonObject{{"pid", static_cast<std::int64_t>(::getpid())},
                               {"address", listeners.address()},
                               {"version", TARE_VERSION}};
  return sys::write_file_atomic(home, "run/tared.json", to_text(info) + "\n", 0644);
}

Result<> become_daemon(const sys::SystemUser& user) {
  if (::geteuid() == 0) {
    // Nothing that is executed later can gain any; EINVAL: this kernel has no more of them.
    for (int capability = 0; capability <= kLastCapability; ++capability) {
      if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) {
        return sys_error(errno, "PR_CAPBSET_DROP");
      }
    }
    TRY(sys::become(user));
    TRY(sys::keep_only_capabilities(0));
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sys_error(errno, "no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_error(errno, "PR_SET_DUMPABLE");
  return ok();
}

}  // namespace

std::string Listeners::address() const { return fmt::format("127.0.0.1:{}", tcp.port()); }

Result<Prepared> prepare_home(const Config& config) {
  ::umask(077);
  const sys::SystemUser user = TRY(sys::find_user(config.user));
  TRY(sys::ensure_dir_at(sys::kCwd, config.home, 0755));
  const auto home = TRY(sys::open_at(sys::kCwd, config.home, O_RDONLY | O_DIRECTORY));
  TRY(make_folders(home.get(), user));
  Home out{.path = config.home, .state = {}, .runs = {}, .lock = {}};
  out.state = TRY(sys::open_beneath(home.get(), "state", O_RDONLY | O_DIRECTORY));
  out.runs = TRY(sys::open_beneath(home.get(), "runs", O_RDONLY | O_DIRECTORY));
  out.lock = TRY(take_lock(out.state.get(), config.home));
  Listeners listeners = TRY(listen(config, user));
  TRY(write_info(home.get(), listeners));
  if (::geteuid() == 0) TRY(sys::own_fd(out.lock.get(), user.uid, user.gid));
  TRY(become_daemon(user));
  return Prepared{std::move(out), std::move(listeners)};
}

Result<Sha256Digest> api_key_digest(const Home& home, Random& random) {
  auto text = sys::read_file_at(home.state.get(), "api_key", kMaxKeyFileBytes);
  if (!text && text.error().sys != ENOENT) return std::move(text).error();
  if (!text) {
    std::array<std::uint8_t, kKeyBytes> key{};
    random.fill(std::as_writable_bytes(std::span(key)));
    text = to_hex(key) + "\n";
    TRY(sys::write_file_atomic(home.state.get(), "api_key", *text, 0600));
  }
  std::string_view key = *text;
  while (!key.empty() && (key.back() == '\n' || key.back() == ' ')) key.remove_suffix(1);
  if (key.size() < kKeyBytes) {
    return Error{Errc::invalid,
                 "state/api_key: shorter than 32 characters; remove it and a new one is made"};
  }
  return sha256(key);
}

}  // namespace tare::host
