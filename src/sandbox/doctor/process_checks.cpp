// Namespaces of a process, handles on it, and what it can be refused.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>

#include "sandbox/doctor/box.h"
#include "sandbox/doctor/check.h"
#include "sandbox/init/apply.h"
#include "sandbox/init/raw.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/landlock.h"
#include "sys/memfd.h"

namespace tare::sandbox {

namespace {

BoxAnswer wait_to_be_killed(int) {
  for (;;) ::pause();
}

BoxAnswer execute(int program) {
  char name[] = "tare-init";
  char* const argv[] = {name, nullptr};
  char* const env[] = {nullptr};
  ::syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
  return box_failed("execute a program in memory");
}

BoxAnswer be_root_and_last_id(int) {
  if (::getuid() != 0 || ::getgid() != 0) return box_failed("be root inside", EPERM);
  constexpr unsigned kLast = kIdRange - 1;
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return box_failed("setgroups");
  if (::syscall(SYS_setresgid, kLast, kLast, kLast) != 0) return box_failed("take the last gid");
  if (::syscall(SYS_setresuid, kLast, kLast, kLast) != 0) return box_failed("take the last uid");
  return box_done();
}

// Brings lo up and connects to itself over it.
BoxAnswer use_loopback(int) {
  if (const int error = init::apply({.op = Op::loopback, .a = "", .b = ""}); error != 0) {
    return box_failed("bring lo up", error);
  }
  const init::Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const init::Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!server.valid() || !client.valid()) return box_failed("make a socket");
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(server.get(), raw, size) != 0) return box_failed("bind to 127.0.0.1");
  if (::listen(server.get(), 1) != 0) return box_failed("listen");
  if (::getsockname(server.get(), raw, &size) != 0) return box_failed("getsockname");
  if (::connect(client.get(), raw, size) != 0) return box_failed("connect to 127.0.0.1");
  return box_done();
}

// A filter that refuses getcpu(2), which is harmless, and a call of it.
BoxAnswer be_filtered(int) {
  constexpr std::uint32_t kRefusal = SECCOMP_RET_ERRNO | EDOM;  // an errno that getcpu never gives
  std::array<sock_filter, 4> code = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getcpu, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, kRefusal),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {code.size(), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return box_failed("set no_new_privs");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return box_failed("load a system call filter");
  }
  unsigned cpu = 0;
  if (::syscall(SYS_getcpu, &cpu, nullptr, nullptr) == 0 || errno != EDOM) {
    return box_failed("be refused a system call", EPROTO);
  }
  return box_done();
}

// As `be_filtered`, with a listener for what is refused.
BoxAnswer be_listened_to(int) {
  std::array<sock_filter, 1> code = {{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program = {code.size(), code.data()};
  constexpr unsigned kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER |
                              SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return box_failed("set no_new_privs");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program) < 0)
    return box_failed("load a system call filter with a listener");
  return box_done();
}

}  // namespace

Result<std::string> check_pidfd(const Host&) {
  Box box = TRY(Box::start(&wait_to_be_killed, {}));
  TRY(box.child().signal(SIGKILL));
  const BoxEnd end = TRY(box.finish());
  if (!end.status.signalled || end.status.code != SIGKILL) {
    return Error{Errc::internal, "a process killed by pidfd ended otherwise"};
  }
  return std::string("a process was killed and its end seen by descriptor");
}

Result<std::string> check_memfd(const Host&) {
  constexpr std::size_t kMaxProgramBytes = 16 << 20;
  const std::string init = TRY(sys::read_program_beside("tare-init", kMaxProgramBytes));
  const sys::UniqueFd program = TRY(sys::sealed_memfd("doctor", init, true));
  if (::pwrite(program.get(), "x", 1, 0) >= 0) return Error{Errc::internal, "a seal did not hold"};
  Box box = TRY(Box::start(&execute, {.argument = program.get()}));
  const BoxEnd end = TRY(box.finish());
  if (end.answer) return sys_error(end.answer->error, end.answer->doing);
  // Without a launcher to talk to, tare-init ends at once, with status 1.
  if (end.status.signalled) {
    return Error{Errc::internal, "tare-init died of signal " + std::to_string(end.status.code)};
  }
  return std::string("tare-init was sealed in memory and executed from there");
}

Result<std::string> check_user_namespace(const Host&) {
  TRY(perform_in_box(&be_root_and_last_id, {.namespaces = CLONE_NEWUSER}));
  return "root inside is uid " + std::to_string(box_uid()) + " outside, " +
         std::to_string(kIdRange) + " ids mapped";
}

Result<std::string> check_network_namespace(const Host&) {
  TRY(perform_in_box(&use_loopback, {.namespaces = CLONE_NEWUSER | CLONE_NEWNET}));
  return std::string("lo was brought up and used");
}

Result<std::string> check_seccomp(const Host&) {
  TRY(perform_in_box(&be_filtered, {.namespaces = CLONE_NEWUSER}));
  return std::string("a filter was loaded and refused a call");
}

Result<std::string> check_refusals_told(const Host&) {
  TRY(perform_in_box(&be_listened_to, {.namespaces = CLONE_NEWUSER}));
  return std::string("a filter has a listener for what it refuses");
}

Result<std::string> check_landlock(const Host& host) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0,
                             LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 0) return sys_error(errno, "landlock_create_ruleset");
  const std::string version = "ABI " + std::to_string(abi);
  if (!host.place) return version;
  const sys::UniqueFd folder = TRY(sys::open_directory(*host.place));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sys_error(errno, "no_new_privs");
  if (!TRY(sys::confine_writes_beneath(folder.get()))) {
    return Error{Errc::unavailable, version + ", 2 is needed"};
  }
  TRY(sys::make_dir_at(folder.get(), "inside", 0700));
  const std::string outside = *host.place + ".outside";
  if (sys::make_dir_at(sys::kCwd, outside, 0700)) {
    TRY(sys::remove_dir_at(sys::kCwd, outside));
    return Error{Errc::internal, version + ", but a write outside was not refused"};
  }
  return version + ", a write outside was refused";
}

}  // namespace tare::sandbox
