#include "sys/own_namespace.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "sys/entries.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/spawn.h"

namespace tare::sys {

namespace {

constexpr std::size_t kMaxAccountsBytes = 1 << 20;
constexpr const char* kNewUidMap = "/usr/bin/newuidmap";
constexpr const char* kNewGidMap = "/usr/bin/newgidmap";

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || text.empty()) return std::nullopt;
  return value;
}

struct OwnIds {
  IdRange uids, gids;
};

Result<IdRange> own_range(const char* file, const std::string& name, uid_t uid) {
  const std::string text = read_file_at(kCwd, file, kMaxAccountsBytes).value_or("");
  const auto range = subordinate_ids(text, name, uid);
  if (range && range->count >= kSubordinateIds) return *range;
  const std::string has = range ? "has only " + std::to_string(range->count) + " ids"
                                : std::string("has no range");
  return Error{Errc::denied, std::string(file) + " " + has +
                                 " for this user, 65536 are needed: usermod "
                                 "--add-subuids 100000-165535 --add-subgids "
                                 "100000-165535 " +
                                 name + " (as root; a range that nobody else has)"};
}

Result<OwnIds> own_ids() {
  const uid_t uid = ::getuid();
  const passwd* const entry = ::getpwuid(uid);
  const std::string name = entry == nullptr ? std::to_string(uid) : entry->pw_name;
  OwnIds ids{TRY(own_range("/etc/subuid", name, uid)), TRY(own_range("/etc/subgid", name, uid))};
  for (const char* program : {kNewUidMap, kNewGidMap}) {
    if (::access(program, X_OK) == 0) continue;
    return Error{Errc::denied, std::string(program) + " is not installed: apt install uidmap"};
  }
  return ids;
}

// In a child, which is still in the outer namespace.
bool run_map_program(const char* program, pid_t process, const IdRange& range, std::uint32_t own) {
  const std::string person = std::to_string(kSubordinateIds);
  SpawnOptions options{.program = program,
                       .argv = {program, std::to_string(process), "0", std::to_string(range.first),
                                person, person, std::to_string(own), "1"},
                       .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}};
  auto errors = dup_fd(STDERR_FILENO);
  if (errors && errors->get() > STDERR_FILENO) options.err = errors->get();
  auto started = spawn(options);
  if (!started) return false;
  const auto status = started->reap();
  return status && !status->signalled && status->code == 0;
}

Result<> map_ids(const OwnIds& ids, uid_t uid, gid_t gid) {
  const pid_t process = ::getpid();
  Pipe go = TRY(make_pipe());
  Child helper = TRY(fork_child());
  if (!helper.valid()) {
    go.write.reset();
    char byte = 0;
    if (::read(go.read.get(), &byte, 1) != 1) ::_exit(1);
    const bool mapped = run_map_program(kNewUidMap, process, ids.uids, uid) &&
                        run_map_program(kNewGidMap, process, ids.gids, gid);
    ::_exit(mapped ? 0 : 1);
  }
  if (::unshare(CLONE_NEWUSER) != 0) return sys_error(errno, "user namespace");
  TRY(write_all(go.write.get(), "g"));
  const ExitStatus status = TRY(helper.wait(nullptr));
  if (!status.signalled && status.code == 0) return ok();
  return Error{Errc::denied,
               "newuidmap or newgidmap refused to map the ids of /etc/subuid and /etc/subgid: "
               "see what it said above; both must be setuid root (apt install uidmap)"};
}

struct Setting {
  const char* path;
  const char* refusing;
  const char* fix;
};
constexpr std::array<Setting, 3> kSettings = {{
    {"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"},
    {"/proc/sys/kernel/unprivileged_userns_clone", "0",
     "sysctl kernel.unprivileged_userns_clone=1"},
    {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
     "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,` "
     "for tare-launcher and tare-store"},
}};

}  // namespace

std::optional<IdRange> subordinate_ids(std::string_view text, std::string_view user, uid_t uid) {
  const std::string digits = std::to_string(uid);
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    if (name.empty() || (name != user && name != digits)) continue;
    line.remove_prefix(colon + 1);
    const std::size_t second = line.find(':');
    if (second == std::string_view::npos) continue;
    const auto first = number(line.substr(0, second));
    const auto count = number(line.substr(second + 1));
    if (first && count && *count > 0) return IdRange{*first, *count};
  }
  return std::nullopt;
}

Result<> become_root_of_own_namespace() {
  const OwnIds ids = TRY(own_ids());
  if (auto mapped = map_ids(ids, ::getuid(), ::getgid()); !mapped) {
    const std::string refused = what_refuses_user_namespaces();
    return refused.empty() ? std::move(mapped) : std::move(mapped).error().context(refused);
  }
  if (::setgroups(0, nullptr) != 0) return sys_error(errno, "setgroups");
  if (::setresgid(0, 0, 0) != 0) return sys_error(errno, "setresgid");
  if (::setresuid(0, 0, 0) != 0) return sys_error(errno, "setresuid");
  return ok();
}

Error execute_inside_own_namespace(int argc, char** argv) {
  auto program = read_link_at(kCwd, "/proc/self/exe");
  if (!program) return std::move(program).error();
  if (auto root = become_root_of_own_namespace(); !root) return std::move(root).error();
  std::vector<std::string> texts = {program->substr(program->rfind('/') + 1)};
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--rootless") texts.emplace_back(argv[i]);
  }
  texts.emplace_back("--inside");
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  ::execv(program->c_str(), arguments.data());
  // The program may lie where only the one who started us can go.
  ::execv("/proc/self/exe", arguments.data());
  return sys_error(errno, "execute " + *program);
}

std::string why_no_own_namespace() {
  auto said = make_pipe();
  auto child = said ? fork_child() : Result<Child>(said.error());
  if (!child) return child.error().message;
  if (!child->valid()) {
    auto root = become_root_of_own_namespace();
    if (!root) (void)write_all(said->write.get(), root.error().message);
    ::_exit(0);
  }
  said->write.reset();
  constexpr std::size_t kMaxWhyBytes = 4096;
  return read_all(said->read.get(), kMaxWhyBytes).value_or("it cannot be told");
}

std::string what_refuses_user_namespaces() {
  for (const Setting& setting : kSettings) {
    const std::string value = read_file_at(kCwd, setting.path, 64).value_or("");
    if (value != std::string(setting.refusing) + "\n") continue;
    return std::string(setting.path + std::string_view("/proc/sys/").size()) + " is " +
           setting.refusing +
           ", so ordinary users may make no user namespace (fix: " + setting.fix + ")";
  }
  return "";
}

}  // namespace tare::sys
