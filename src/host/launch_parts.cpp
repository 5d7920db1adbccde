#include "host/launch_parts.h"

#include <fcntl.h>

#include "sandbox/plan/codec.h"
#include "sys/files.h"
#include "sys/memfd.h"

namespace tare::host {

namespace {

// Large pipes save context switches. What one user's pipes may hold in all is bounded
// (fs.pipe-user-pages-soft, 64 MiB, enough for 128 runs): beyond it the kernel refuses, and the
// pipe stays as it is.
constexpr int kLargePipeBytes = 256 << 10;
constexpr std::size_t kMaxNameServersBytes = 4096;
constexpr unsigned kFolderMode = 0755;  // of input folders: the program reads them as another user

Result<sys::Pipe> output_pipe() {
  sys::Pipe pipe = TRY(sys::make_pipe());
  TRY(sys::set_nonblocking(pipe.read.get(), true));
  // Best effort: a small pipe is slower, not wrong.
  (void)::fcntl(pipe.read.get(), F_SETPIPE_SZ, kLargePipeBytes);
  return pipe;
}

Result<> make_input_folders(int input, std::string_view name) {
  for (std::size_t slash = name.find('/'); slash != std::string_view::npos;
       slash = name.find('/', slash + 1)) {
    const auto folder = name.substr(0, slash);
    TRY(sys::ensure_dir_at(input, folder, kFolderMode));
    const auto fd = TRY(sys::open_beneath(input, folder, O_RDONLY | O_DIRECTORY));
    TRY(sys::chmod_fd(fd.get(), kFolderMode));  // whatever the umask
  }
  return ok();
}

// Found by the launcher by its name, not by a descriptor (protocol.h says why).
Result<> make_input(int run_folder, const model::RunRequest& request, const runs::Blobs& blobs) {
  TRY(sys::remove_tree_at(run_folder, "input"));
  TRY(sys::make_dir_at(run_folder, "input", kFolderMode));
  const auto input = TRY(sys::open_beneath(run_folder, "input", O_RDONLY | O_DIRECTORY));
  TRY(sys::chmod_fd(input.get(), kFolderMode));
  for (const model::InputFile& file : request.inputs) {
    TRY(make_input_folders(input.get(), file.name));
    TRY(blobs.link(file.digest, input.get(), file.name).context("input " + file.name));
  }
  return ok();
}

// A session's time goes on while it hibernates.
std::uint64_t time_left(const model::Run& run, std::uint64_t now_ms) {
  const std::uint64_t limit = run.request.limits.time_ms;
  if (limit == 0 || run.started_ms == 0 || now_ms < run.started_ms) return limit;
  const std::uint64_t spent = now_ms - run.started_ms;
  return spent < limit ? limit - spent : 1;
}

}  // namespace

std::vector<int> LaunchParts::borrowed() const {
  std::vector<int> out;
  for (const sys::UniqueFd& fd : fds) out.push_back(fd.get());
  return out;
}

Result<sandbox::Plans> plans_of(const model::SandboxSpec& spec, const Filters& filters) {
  return sandbox::compile(spec, filters.walls(spec.profile));
}

Result<SandboxOrder> sandbox_order(const model::SandboxSpec& spec, const RunDeps& deps) {
  const BasePlans::Sealed* base = TRY(deps.base_plans.of(sandbox::BaseKind::of(spec)));
  return SandboxOrder{{base->digest, spec.host_root, spec.session, spec.layers, spec.network,
                       spec.limits, spec.runner},
                      TRY(sys::dup_fd(base->fd.get()))};
}

Result<LaunchParts> prepare_launch(LiveRun& live, const RunDeps& deps) {
  const model::RunRequest& request = live.run.request;
  const std::string& id = live.run.id;
  model::SandboxSpec spec = TRY(sandbox_spec(with_runner(live.run, live.runner), live.purpose));
  spec.layers = deps.flat.mounted(live.run);
  spec.limits.time_ms = time_left(live.run, deps.clock.wall_ms());
  if (spec.network == model::Network::host && !spec.host_root) {
    // None is as good as a file that names none: the commands see that there is no name service.
    spec.name_servers = sys::read_file_at(sys::kCwd, "/etc/resolv.conf", kMaxNameServersBytes)
                            .value_or(std::string());
  }
  SandboxOrder order = TRY(sandbox_order(spec, deps));
  LaunchParts parts;
  parts.shut_in = spec.network == model::Network::none;
  parts.message = {.id = id,
                   .base = std::move(order.base),
                   .with_stdin = spec.with_stdin,
                   .with_input = spec.with_input,
                   .with_report = reports(request)};
  const std::string plan = TRY(sandbox::encode(TRY(sandbox::compile_run(spec))));
  parts.fds.push_back(std::move(order.plan));
  parts.fds.push_back(TRY(sys::sealed_memfd("tare-plan", plan, false)));

  sys::Pipe gate = TRY(sys::make_pipe());
  parts.fds.push_back(std::move(gate.read));
  parts.gate = std::move(gate.write);
  for (sys::UniqueFd* ours : {&live.stdout_read, &live.stderr_read}) {
    sys::Pipe pipe = TRY(output_pipe());
    parts.fds.push_back(TRY(sys::dup_fd(pipe.read.get())));
    parts.fds.push_back(std::move(pipe.write));
    *ours = std::move(pipe.read);
  }
  if (spec.with_stdin) {
    sys::Pipe pipe = TRY(sys::make_pipe());
    TRY(sys::set_nonblocking(pipe.write.get(), true));
    parts.fds.push_back(std::move(pipe.read));
    parts.fds.push_back(TRY(sys::dup_fd(pipe.write.get())));
    live.stdin_write = std::move(pipe.write);
  }
  if (parts.message.with_report) {
    sys::Pipe pipe = TRY(sys::make_pipe());
    TRY(sys::set_nonblocking(pipe.read.get(), true));
    parts.fds.push_back(TRY(sys::dup_fd(pipe.read.get())));
    parts.fds.push_back(std::move(pipe.write));
    live.report_read = std::move(pipe.read);
  }
  if (spec.with_input) {
    TRY(sys::ensure_dir_at(deps.runs_dir, id, 0700));
    const auto folder = TRY(sys::open_beneath(deps.runs_dir, id, O_RDONLY | O_DIRECTORY));
    TRY(make_input(folder.get(), request, deps.blobs));
  }
  return parts;
}

Result<> open_output(LiveRun& live, const RunDeps& deps) {
  TRY(sys::ensure_dir_at(deps.runs_dir, live.run.id, 0700));
  live.log = TRY(deps.logs.open(live.run.id, live.run.request.attach));
  live.log->log->set_limit(live.run.request.limits.output_bytes);
  if (reports(live.run.request))
    live.report = TRY(runs::ReportLog::open(deps.runs_dir, live.run.id));
  live.changed.notify_all();
  return ok();
}

}  // namespace tare::host
