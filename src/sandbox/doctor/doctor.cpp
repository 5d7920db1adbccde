#include "sandbox/doctor/doctor.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/doctor/examine.h"
#include "sandbox/doctor/report.h"
#include "sandbox/doctor/residue.h"
#include "sys/files.h"
#include "sys/fork.h"

namespace tare::sandbox {

namespace {

constexpr int kAllOk = 0;
constexpr int kMissing = 1;
constexpr int kAbandoned = 2;

// stdout is for the report alone, and what mkfs and its like say is nobody's business: both become
// /dev/null for the keeper and its children.
Result<sys::UniqueFd> take_output() {
  sys::UniqueFd out = TRY(sys::dup_fd(STDOUT_FILENO));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) sys::UniqueFd(fd).reset();
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // The lowest free number: 0, 1, 2.
    const int opened = TRY(sys::open_at(sys::kCwd, "/dev/null", O_RDWR)).release();
    if (::fcntl(opened, F_SETFD, 0) != 0) return sys_error(errno, "fcntl");
  }
  return out;
}

// The keeper: goes through the table, then takes away what was made.
int keep(Host& host, int doctor) {
  auto out = take_output();
  if (!out) return kAbandoned;
  remove_stale_residue(host.home, host.inside);
  host.place = make_place(host.home, host.tag);
  std::vector<Finding> findings;
  for (const Check& check : checks()) {
    auto finding = examine(check, host, doctor);
    if (!finding) break;
    finding->inside = host.inside.has_value();
    finding->follows = cause_of(*finding, findings, host.person.has_value());
    findings.push_back(std::move(*finding));
  }
  remove_residue(host.home, host.tag, host.inside);
  if (findings.size() != checks().size()) return kAbandoned;
  if (!sys::write_all(out->get(), render(findings))) return kAbandoned;
  return all_ok(findings) ? kAllOk : kMissing;
}

}  // namespace

Result<int> run_doctor(const DoctorOptions& options) {
  const bool ordinary = ::geteuid() != 0 && !options.inside;
  Host host = {.home = options.home.empty() ? kDefaultHome : options.home,
               .inside = options.inside,
               .person = ordinary ? std::optional(::geteuid()) : std::nullopt,
               .why_not_inside = options.why_not_inside,
               .user = options.user,
               .tag = "doctor-" + std::to_string(::getpid()),
               .place = Error{Errc::internal, "not made yet"}};
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(0022);
  sys::Pipe alive = TRY(sys::make_pipe());
  sys::Child keeper = TRY(sys::fork_child());
  if (!keeper.valid()) {
    ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);  // it cleans up after us
    ::setsid();                             // out of reach of Ctrl-C, and of a kill of our group
    alive.write.reset();
    ::_exit(keep(host, alive.read.get()));
  }
  alive.read.reset();
  const sys::ExitStatus status = TRY(keeper.wait(nullptr));
  if (!status.signalled && (status.code == kAllOk || status.code == kMissing)) return status.code;
  remove_residue(host.home, host.tag, host.inside);
  return Error{Errc::internal, std::string("the doctor's keeper ended early, by ") +
                                   (status.signalled ? "signal " : "exit status ") +
                                   std::to_string(status.code)};
}

}  // namespace tare::sandbox
