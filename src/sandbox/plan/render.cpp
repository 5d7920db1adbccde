#include "sandbox/plan/render.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "model/runner.h"
#include "sandbox/cgroup/settings.h"
#include "sandbox/plan/compile.h"

namespace tare::sandbox {

namespace {

constexpr std::size_t kShownBytes = 60;

// Printable, bounded, on one line: arguments and variables come from outside.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kShownBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (text.size() > kShownBytes) out += fmt::format("... ({} bytes)", text.size());
  return out;
}

std::string_view resource_name(std::uint64_t resource) {
  switch (resource) {
    case RLIMIT_NOFILE: return "open files";
    case RLIMIT_MEMLOCK: return "locked memory bytes";
    case RLIMIT_MSGQUEUE: return "message queue bytes";
    case RLIMIT_SIGPENDING: return "pending signals";
    default: return "resource";
  }
}

std::string launcher_part(const model::SandboxSpec& spec) {
  std::string out = "tare-launcher makes\n";
  const auto line = [&out](std::string_view text) {
    out.append("      ").append(text).append("\n");
  };
  line(fmt::format("uid range of {} ids; user, mount, pid, {}ipc, uts, cgroup namespaces", kIdRange,
                   spec.network == model::Network::none ? "net, " : ""));
  if (spec.network == model::Network::host) line("network: the host's (environment builds only)");
  const bool in_memory = model::scratch_of(spec.limits) == model::Scratch::memory;
  line(fmt::format("scratch space in {}: {} bytes, {} inodes",
                   in_memory ? "memory" : "a disk image", spec.limits.disk_bytes,
                   spec.limits.disk_inodes));
  line(fmt::format("root: overlay of platform{}{} below a private upper",
                   spec.layers.empty() ? "" : ", ",
                   fmt::join(spec.layers.rbegin(), spec.layers.rend(), ", ")));
  if (spec.host_root) line("read-only: the host's /usr (environment `host`, not reproducible)");
  if (!spec.runner.empty()) line(fmt::format("read-only: {} {}", model::kRunnerPath, spec.runner));
  if (spec.with_input) line("read-only: /input");
  line("writable: /output, kept at the end");
  for (const CgroupSetting& setting : cgroup_settings(spec.limits, CgroupVersion::v2)) {
    line(fmt::format("cgroup {} = {}", setting.file, setting.value));
  }
  if (spec.limits.time_ms > 0) line(fmt::format("kill after {} ms", spec.limits.time_ms));
  return out;
}

}  // namespace

std::string render_step(const Step& step) {
  const std::string name(op_name(step.op));
  switch (step.op) {
    case Op::own_cgroups:
    case Op::loopback:
    case Op::prepared:
    case Op::confined:
    case Op::serve: return name;
    case Op::execute:
      return step.n == static_cast<std::uint64_t>(Execute::handed_in)
                 ? name + " the program handed in"
                 : name;
    case Op::terminal: return fmt::format("{} of {} rows, {} columns", name, step.n, step.m);
    case Op::make_dir:
      return fmt::format("{} {} mode {:04o} uid {}", name, shown(step.a), step.n, step.m);
    case Op::write_file: return fmt::format("{} {} ({} bytes)", name, shown(step.a), step.b.size());
    case Op::ensure_user: return fmt::format("{} {} uid {}", name, shown(step.a), step.n);
    case Op::fill_file: return fmt::format("{} {} ({} bytes)", name, shown(step.a), step.b.size());
    case Op::bound: return fmt::format("{} {:#x}", name, step.m);
    case Op::settle: return fmt::format("{} {} keeping capabilities {:#x}", name, step.n, step.m);
    case Op::resource: return fmt::format("{} {} = {}", name, resource_name(step.n), step.m);
    case Op::identity: return fmt::format("{} uid {} gid {}", name, step.n, step.m);
    case Op::capabilities: return fmt::format("{} {:#x}", name, step.m);
    case Op::confine: return fmt::format("{} {:#x} scope {:#x}", name, step.n, step.m);
    case Op::confine_beneath: return fmt::format("{} {} {:#x}", name, shown(step.a), step.n);
    case Op::filter: return fmt::format("{} ({} instructions)", name, step.a.size() / 8);
    default: return fmt::format("{} {}", name, shown(step.a));
  }
}

std::string render(const model::SandboxSpec& spec, const Plans& plans) {
  std::string out = launcher_part(spec);
  std::size_t number = 0;
  const auto add = [&](const std::vector<Step>& steps, std::string_view when) {
    bool program = false;
    out += fmt::format("tare-init does, {}\n", when);
    for (const Step& step : steps) {
      if (!program && is_program_step(step.op)) {
        out += fmt::format("the program's process does, {}\n", when);
        program = true;
      }
      out += fmt::format("{:5} {}\n", ++number, render_step(step));
    }
  };
  add(plans.base, "ahead of time where a sandbox waits in the pool");
  add(plans.run, "for this run");
  return out;
}

}  // namespace tare::sandbox
