#include "sandbox/plan/compile.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include <array>

#include "sandbox/plan/landlock.h"

namespace tare::sandbox {

namespace {

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

// What tare-init keeps: enough to kill and to start programs as other ids, nothing more.
constexpr std::uint64_t kInitCapabilities = bit(CAP_KILL) | bit(CAP_SETUID) | bit(CAP_SETGID);

// What ordinary programs have no use for and what has leaked host state before (ATTACKS.md S20), or
// tells of other tenants: how many cgroups and keys there are, the host's disks and swaps, its boot
// parameters, when which device interrupts (keystrokes of others have been read off that), its
// memory by zone. Absent ones are skipped by tare-init: kernels differ in what they have.
// /proc/locks: locks of open files have no process, so the host's show in every PID namespace.
// What stays readable, and why, is in tests/golden/posture_proc.txt.
constexpr std::array<std::string_view, 28> kMaskedFiles = {
    "/proc/kcore",       "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
    "/proc/sched_debug", "/proc/kmsg",        "/proc/kallsyms",      "/proc/kpagecount",
    "/proc/kpageflags",  "/proc/kpagecgroup", "/proc/sysrq-trigger", "/proc/iomem",
    "/proc/ioports",     "/proc/locks",       "/proc/modules",       "/proc/key-users",
    "/proc/cgroups",     "/proc/cmdline",     "/proc/bootconfig",    "/proc/diskstats",
    "/proc/partitions",  "/proc/swaps",       "/proc/mdstat",        "/proc/interrupts",
    "/proc/softirqs",    "/proc/schedstat",   "/proc/buddyinfo",     "/proc/zoneinfo",
};
// /proc/pressure: anybody may read the host's load there, and have the kernel watch it for them.
// /proc/fs names the host's disks and network shares, /proc/spl its ZFS, /proc/bus and /proc/irq
// its devices.
constexpr std::array<std::string_view, 10> kMaskedFolders = {
    "/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/driver", "/proc/pressure",
    "/proc/fs",   "/proc/spl",  "/proc/bus",    "/proc/irq",    "/proc/dynamic_debug"};
constexpr std::array<std::string_view, 2> kReadOnlyFolders = {"/proc/sys", "/proc/tty"};

Result<> check_text(std::string_view text, std::string_view what) {
  if (text.find('\0') != std::string_view::npos) {
    return Error{Errc::invalid, std::string(what) + ": contains a NUL byte"};
  }
  return ok();
}

Result<> check_program(const std::vector<std::string>& argv, const std::vector<std::string>& env,
                       std::string_view cwd) {
  if (argv.empty() || argv.front().empty())
    return Error{Errc::invalid, "argv: the program is missing"};
  for (const std::string& argument : argv) TRY(check_text(argument, "argv"));
  for (const std::string& variable : env) {
    TRY(check_text(variable, "env"));
    const std::size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Error{Errc::invalid, "env: expected NAME=value, got '" + variable + "'"};
    }
  }
  if (cwd.empty() || cwd.front() != '/')
    return Error{Errc::invalid, "cwd: must be an absolute path"};
  return check_text(cwd, "cwd");
}

Result<> validate(const model::SandboxSpec& spec) {
  if (!spec.session) TRY(check_program(spec.argv, spec.env, spec.cwd));
  if (spec.uid >= kInitUid || spec.gid >= kInitUid) {
    return Error{Errc::invalid, "user: ids inside go from 0 to " + std::to_string(kInitUid - 1)};
  }
  if (!spec.host_root && spec.layers.empty()) {
    return Error{Errc::invalid, "environment: neither host nor any layer"};
  }
  if (spec.hostname.empty() || spec.hostname.size() > 63)
    return Error{Errc::invalid, "hostname: 1 to 63 bytes"};
  return ok();
}

void root_steps(model::Network network, std::vector<Step>& steps) {
  steps.push_back({Op::own_cgroups, "", "", 0, 0});
  if (network == model::Network::none) steps.push_back({Op::loopback, "", "", 0, 0});
  // Before the root is changed: a user namespace may mount proc only while it can see an unmasked
  // one, and that is the launcher's.
  steps.push_back({Op::proc, std::string(kStageRoot) + "/proc", "", 0, 0});
  steps.push_back({Op::enter_root, std::string(kStageRoot), "", 0, 0});
  for (std::string_view path : kMaskedFiles)
    steps.push_back({Op::mask_file, std::string(path), "", 0, 0});
  for (std::string_view path : kMaskedFolders)
    steps.push_back({Op::mask_dir, std::string(path), "", 0, 0});
  for (std::string_view path : kReadOnlyFolders)
    steps.push_back({Op::read_only, std::string(path), "", 0, 0});
  steps.push_back({Op::devpts, "/dev/pts", "", 0, 0});
  steps.push_back({Op::mqueue, "/dev/mqueue", "", 0, 0});
}

void resource_steps(std::vector<Step>& steps) {
  steps.push_back({Op::resource, "", "", RLIMIT_MEMLOCK, 64 * 1024});
  steps.push_back({Op::resource, "", "", RLIMIT_MSGQUEUE, 819'200});
  steps.push_back({Op::resource, "", "", RLIMIT_SIGPENDING, 1024});
}

void identity_steps(const BaseKind& kind, std::vector<Step>& steps) {
  steps.push_back({Op::identity, "", "", kind.uid, kind.gid});
  steps.push_back({Op::capabilities, "", "", 0, capabilities_of(kind.profile)});
}

void wall_steps(const BaseKind& kind, const Walls& walls, std::vector<Step>& steps) {
  const std::vector<Step> landlock = landlock_steps(kind, walls.landlock_abi);
  steps.insert(steps.end(), landlock.begin(), landlock.end());
  steps.push_back({Op::filter, std::string(walls.filter), "", 0, 0});
}

// Everything that does not depend on which run it will be.
std::vector<Step> base_steps(const BaseKind& kind, const Walls& walls) {
  std::vector<Step> steps;
  root_steps(kind.network, steps);
  // An image of one program may lack it.
  if (!kind.host_root) steps.push_back({Op::make_dir, "/etc", "", 0755, 0});
  steps.push_back({Op::write_file, "/etc/hostname", "", 0644, 0});
  steps.push_back({Op::write_file, "/etc/machine-id", "", 0444, 0});
  if (kind.network == model::Network::none || !kind.host_root)
    steps.push_back({Op::write_file, "/etc/hosts", "", 0644, 0});
  if (kind.network == model::Network::host && !kind.host_root)
    steps.push_back({Op::write_file, "/etc/resolv.conf", "", 0644, 0});
  if (!kind.host_root) steps.push_back({Op::ensure_user, "agent", "", 1000, 0});
  steps.push_back({Op::make_dir, "/home", "", 0755, 0});
  steps.push_back({Op::make_dir, "/home/agent", "", 0755, kind.uid});
  steps.push_back({Op::make_dir, "/output", "", 0755, kind.uid});
  steps.push_back({Op::bound, "", "", 0, capabilities_of(kind.profile)});
  resource_steps(steps);
  identity_steps(kind, steps);
  wall_steps(kind, walls, steps);
  steps.push_back({Op::prepared, "", "", 0, 0});
  return steps;
}

void program_steps(const std::vector<std::string>& argv, const std::vector<std::string>& env,
                   std::vector<Step>& steps) {
  for (const std::string& argument : argv) steps.push_back({Op::argument, argument, "", 0, 0});
  for (const std::string& variable : env) steps.push_back({Op::variable, variable, "", 0, 0});
}

std::vector<Step> run_steps(const model::SandboxSpec& spec) {
  std::vector<Step> steps;
  if (spec.with_input) steps.push_back({Op::input, "/input", "", 0, 0});
  steps.push_back({Op::hostname, spec.hostname, "", 0, 0});
  steps.push_back({Op::fill_file, "/etc/hostname", spec.hostname + "\n", 0, 0});
  if (!spec.machine_id.empty())
    steps.push_back({Op::fill_file, "/etc/machine-id", spec.machine_id + "\n", 0, 0});
  if (spec.network == model::Network::host && !spec.host_root)
    steps.push_back({Op::fill_file, "/etc/resolv.conf", spec.name_servers, 0, 0});
  if (spec.network == model::Network::none || !spec.host_root) {
    steps.push_back({Op::fill_file, "/etc/hosts",
                     "127.0.0.1 localhost " + spec.hostname + "\n::1 localhost ip6-localhost\n", 0,
                     0});
  }
  steps.push_back(
      {Op::settle, "", "", kInitUid, kInitCapabilities | capabilities_of(spec.profile)});
  if (spec.session) {
    steps.push_back({Op::serve, "", "", 0, 0});
    return steps;
  }
  steps.push_back({Op::resource, "", "", RLIMIT_NOFILE, spec.limits.open_files});
  steps.push_back({Op::working_dir, spec.cwd, "", 0, 0});
  program_steps(spec.argv, spec.env, steps);
  steps.push_back({Op::execute, "", "", static_cast<std::uint64_t>(Execute::gated), 0});
  return steps;
}

}  // namespace

std::uint64_t capabilities_of(model::Profile profile) {
  if (profile != model::Profile::build) return 0;
  return bit(CAP_CHOWN) | bit(CAP_SETUID) | bit(CAP_SETGID) | bit(CAP_FOWNER) |
         bit(CAP_DAC_OVERRIDE) | bit(CAP_SYS_CHROOT);
}

BaseKind BaseKind::of(const model::SandboxSpec& spec) {
  return {spec.profile, spec.network, spec.host_root, spec.uid, spec.gid};
}

Result<std::vector<Step>> compile_base(const BaseKind& kind, const Walls& walls) {
  if (walls.filter.empty() || walls.filter.size() % 8 != 0)
    return Error{Errc::internal, "system call filter is malformed"};
  return base_steps(kind, walls);
}

Result<std::vector<Step>> compile_run(const model::SandboxSpec& spec) {
  TRY(validate(spec));
  return run_steps(spec);
}

Result<Plans> compile(const model::SandboxSpec& spec, const Walls& walls) {
  std::vector<Step> run = TRY(compile_run(spec));
  return Plans{TRY(compile_base(BaseKind::of(spec), walls)), std::move(run)};
}

// The same confinement as the base and the run's plan give a run's program, in the same order.
Result<std::vector<Step>> compile_exec(const model::ExecSpec& exec, const model::SandboxSpec& spec,
                                       const Walls& walls) {
  TRY(validate(spec));
  TRY(check_program(exec.argv, exec.env, exec.cwd));
  if (walls.filter.empty() || walls.filter.size() % 8 != 0)
    return Error{Errc::internal, "system call filter is malformed"};
  std::vector<Step> steps;
  resource_steps(steps);
  identity_steps(BaseKind::of(spec), steps);
  // Before the walls, which have nothing against it but need not have anything for it.
  if (exec.terminal)
    steps.push_back({Op::terminal, "", "", exec.terminal->rows, exec.terminal->columns});
  wall_steps(BaseKind::of(spec), walls, steps);
  steps.push_back({Op::resource, "", "", RLIMIT_NOFILE, spec.limits.open_files});
  steps.push_back({Op::working_dir, exec.cwd, "", 0, 0});
  program_steps(exec.argv, exec.env, steps);
  const Execute how = exec.handed_in ? Execute::handed_in : Execute::now;
  steps.push_back({Op::execute, "", "", static_cast<std::uint64_t>(how), 0});
  return steps;
}

std::vector<Step> Plans::all() const {
  std::vector<Step> steps = base;
  steps.insert(steps.end(), run.begin(), run.end());
  return steps;
}

}  // namespace tare::sandbox
