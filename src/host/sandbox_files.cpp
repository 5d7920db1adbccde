#include "host/sandbox_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "fiber/wait.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/memfd.h"

namespace tare::host {

namespace {

// From the end of what it says to the word that it has ended, which does not come when the whole
// sandbox has.
constexpr std::chrono::seconds kEndPatience{2};
constexpr std::size_t kMaxProgramBytes = std::size_t{8} << 20;

Errc code_of(std::uint32_t error) {
  switch (error) {
    case ENOENT: return Errc::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::denied;
    case EEXIST:
    case ENOTEMPTY:
    case EBUSY:
    case EXDEV:
    case ETXTBSY:
    case ECANCELED: return Errc::conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EMLINK: return Errc::exhausted;
    default: return Errc::invalid;
  }
}

// What to do about it, where that is not plain.
std::string_view advice(std::uint32_t error) {
  switch (error) {
    case ENOTEMPTY: return "; ask for recursive to remove what is in it";
    case EEXIST: return "; ask for replace to put it in its place";
    case EXDEV: return "; copy it and remove the original";
    case EISDIR: return "; list it instead";
    case ENOSPC: return " (limit disk)";
    default: return "";
  }
}

std::string text_of(std::uint32_t error) {
  switch (error) {
    case sandbox::kFileErrorNotRegular: return "is not a regular file";
    case sandbox::kFileErrorTooDeep:
      return fmt::format("has more than {} levels of folders: remove it with an exec of `rm -rf`",
                         sandbox::kMaxTreeDepth);
    case sandbox::kFileErrorTooLarge:
      return fmt::format("says that it is empty and has more than {} bytes: read it with an exec",
                         sandbox::kMaxUnsizedBytes);
    case sandbox::kFileErrorOffset: return "is shorter than that";
    case ECANCELED: return "was not written: the body broke off";
    default: break;
  }
  return fmt::format("{}{}",
                     ::strerrordesc_np(static_cast<int>(error)) != nullptr
                         ? ::strerrordesc_np(static_cast<int>(error))
                         : "cannot be used",
                     advice(error));
}

Result<std::string> absolute(const SandboxFiles::Path& path) {
  if (path.path.empty()) return field_error(path.field, "is empty");
  if (path.path.size() > kMaxSandboxPathBytes || path.path.find('\0') != std::string::npos) {
    return field_error(path.field,
                       fmt::format("at most {} bytes, and no NUL", kMaxSandboxPathBytes));
  }
  return path.path.front() == '/' ? path.path : "/home/agent/" + path.path;
}

}  // namespace

FileOperation::FileOperation(FileOperation&& other) noexcept
    : execs_(std::exchange(other.execs_, nullptr)),
      run_(std::move(other.run_)),
      number_(other.number_),
      exec_(std::move(other.exec_)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      checkpoints_(other.checkpoints_),
      attempt_(other.attempt_),
      done_(other.done_),
      writes_(other.writes_),
      fields_(std::move(other.fields_)) {}

FileOperation::~FileOperation() {
  if (execs_ == nullptr) return;
  exec_->use = {};
  // What it has begun has a name perhaps (sandbox/files/content.cpp), until it is gone.
  if (writes_ && !done_ && !exec_->ended) exec_->writing = Counted(*exec_->run, &LiveRun::writes);
  in_.reset();
  out_.reset();
  if (done_ || writes_) {
    execs_->let_end_transient(run_, number_);
  } else {
    execs_->drop_transient(run_, number_);
  }
}

bool FileOperation::sleeps() const {
  return exec_->run->hibernates() || exec_->run->sleeps != exec_->sleeps;
}

Error FileOperation::strange() const {
  if (sleeps()) {
    return Error{Errc::conflict,
                 fmt::format("{} has been hibernated meanwhile: ask again, which wakes it", run_)};
  }
  return Error{Errc::unavailable,
               fmt::format("the answer from inside {} was broken off or is not one: something "
                           "there ended or changed it",
                           run_)};
}

// Stopped by something in there, say.
Error FileOperation::late(Error error) const {
  if (error.code != Errc::timeout) return error;
  return Error{Errc::timeout, fmt::format("{} did not answer within {} s: try again when it does "
                                          "less",
                                          run_, kAnswerTimeout.count())};
}

Result<std::size_t> FileOperation::read_some(std::span<char> into, const fiber::Context& ctx) {
  for (;;) {
    const ssize_t n = ::read(out_.get(), into.data(), into.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return sys_error(errno, "read from a sandbox");
    auto ready = fiber::wait_readable(out_.get(), ctx.with_timeout(kAnswerTimeout));
    if (!ready) return late(std::move(ready).error());
  }
}

// False at the very end; an end in the midst is strange.
Result<bool> FileOperation::read_whole(void* into, std::size_t size, const fiber::Context& ctx) {
  std::span<char> rest(static_cast<char*>(into), size);
  while (!rest.empty()) {
    const std::size_t n = TRY(read_some(rest, ctx));
    if (n == 0 && rest.size() == size) return false;
    if (n == 0) return strange();
    rest = rest.subspan(n);
  }
  return true;
}

Result<std::string> FileOperation::read_text(std::size_t size, const fiber::Context& ctx) {
  std::string text(size, '\0');
  if (size > 0 && !TRY(read_whole(text.data(), size, ctx))) return strange();
  return text;
}

Result<sandbox::FileHead> FileOperation::head(const fiber::Context& ctx) {
  const auto limited = ctx.with_timeout(kAnswerTimeout);
  sandbox::FileHead head;
  if (!TRY(read_whole(&head, sizeof head, limited))) {
    // It may not even have been started: the process limit, say.
    (void)exec_->changed.wait_until([&] { return exec_->ended || sleeps(); },
                                    ctx.with_timeout(kEndPatience));
    TRY(ctx.check());
    if (!exec_->ended || exec_->ended->reason != model::EndReason::setup_failed) return strange();
    return Error{Errc::unavailable,
                 fmt::format("cannot be done in {} now: {}", run_, exec_->ended->message)};
  }
  if (!is_plausible(head, fields_.size())) return strange();
  if (head.error == 0) return head;
  done();
  const auto& [field, path] = fields_[head.argument];
  return Error{code_of(head.error),
               fmt::format("{}: {}: {}", field, quote(path), text_of(head.error)), 0, field};
}

Result<SandboxEntry> FileOperation::entry(bool& end, bool& more, const fiber::Context& ctx) {
  const auto limited = ctx.with_timeout(kAnswerTimeout);
  sandbox::FileEntry raw;
  if (!TRY(read_whole(&raw, sizeof raw, limited)) || !is_plausible(raw)) return strange();
  end = raw.name_bytes == 0;
  more = raw.size == 1;
  if (end) return SandboxEntry{};
  std::string name = TRY(read_text(raw.name_bytes, limited));
  auto entry = entry_of(raw, std::move(name), TRY(read_text(raw.target_bytes, limited)));
  if (!entry) return strange();
  return *std::move(entry);
}

Result<std::optional<SandboxEvent>> FileOperation::event(const fiber::Context& ctx) {
  // The first byte is waited for, and nothing is lost when that takes too long; the rest of an
  // event follows at once.
  TRY(fiber::wait_readable(out_.get(), ctx));
  const auto limited = ctx.with_timeout(kAnswerTimeout);
  sandbox::WatchEvent raw;
  if (!TRY(read_whole(&raw, sizeof raw, limited))) return std::optional<SandboxEvent>();
  if (!is_plausible(raw)) return strange();
  auto event = event_of(raw, TRY(read_text(raw.name_bytes, limited)));
  if (!event) return strange();
  return event;
}

Result<bool> FileOperation::write_raw(std::string_view bytes, const fiber::Context& ctx) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(in_.get(), bytes.data(), bytes.size());
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && errno == EPIPE) {
      return false;
    } else if (n < 0 && errno == EAGAIN) {
      auto ready = fiber::wait_writable(in_.get(), ctx.with_timeout(kAnswerTimeout));
      if (!ready) return late(std::move(ready).error());
    } else if (n < 0 && errno != EINTR) {
      return sys_error(errno, "write to a sandbox");
    }
  }
  return true;
}

Result<bool> FileOperation::write(std::string_view bytes, const fiber::Context& ctx) {
  while (!bytes.empty()) {
    const auto size = static_cast<std::uint32_t>(
        std::min<std::size_t>(bytes.size(), sandbox::kMaxPieceBytes));
    char head[sizeof size];
    std::memcpy(head, &size, sizeof size);
    if (!TRY(write_raw({head, sizeof head}, ctx))) return false;
    if (!TRY(write_raw(bytes.substr(0, size), ctx))) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

// Not while its sandbox stands still, or is about to: it would be stopped in the midst of it.
Result<bool> FileOperation::commit(const fiber::Context& ctx) {
  LiveRun& live = *exec_->run;
  TRY(live.changed.wait_until([&] { return live.standing == 0 || live.is_over(); }, ctx));
  exec_->writing = Counted(live, &LiveRun::writes);
  return write_raw(std::string_view("\0\0\0\0", 4), ctx);
}

Result<> FileOperation::keep(const fiber::Context& ctx) {
  if (!exec_->changes_files || !exec_->run->run.request.durable) return ok();
  auto kept = checkpoints_->hold(exec_->run, attempt_, ctx);
  if (kept) return ok();
  return std::move(kept).error().context("it was done, and is not on the disk");
}

Result<FileOperation> SandboxFiles::start(const std::string& run, std::string_view verb,
                                          const std::vector<Path>& paths,
                                          const std::vector<std::string>& rest,
                                          const fiber::Context& ctx) {
  model::ExecSpec spec;
  spec.argv = {"tare-files", std::string(verb)};
  spec.cwd = "/";
  spec.handed_in = true;
  FileOperation operation;
  for (const Path& path : paths) {
    spec.argv.push_back(TRY(absolute(path)));
    operation.fields_.emplace_back(path.field, path.path);
  }
  spec.argv.insert(spec.argv.end(), rest.begin(), rest.end());
  sys::Pipe in = TRY(sys::make_pipe());
  sys::Pipe out = TRY(sys::make_pipe());
  TRY(sys::set_nonblocking(in.write.get(), true));
  TRY(sys::set_nonblocking(out.read.get(), true));
  const bool changes_files = verb == "write" || verb == "remove" || verb == "move" ||
                             verb == "mkdir";
  auto started = TRY(execs_.start_transient(run, spec, changes_files,
                                            {program_.get(), in.read.get(), out.write.get()}, ctx));
  operation.execs_ = &execs_;
  operation.run_ = run;
  operation.number_ = started.number;
  operation.exec_ = std::move(started.exec);
  operation.writes_ = verb == "write";
  operation.attempt_ = operation.exec_->run->run.attempt;
  operation.checkpoints_ = &checkpoints_;
  operation.in_ = std::move(in.write);
  operation.out_ = std::move(out.read);
  return operation;
}

Result<FileOperation> SandboxFiles::answered(const std::string& run, std::string_view verb,
                                             const std::vector<Path>& paths,
                                             const std::vector<std::string>& rest,
                                             const fiber::Context& ctx) {
  auto operation = TRY(start(run, verb, paths, rest, ctx));
  TRY(operation.head(ctx));
  operation.done();
  return operation;
}

Result<> SandboxFiles::run(const std::string& run, std::string_view verb,
                           const std::vector<Path>& paths, const std::vector<std::string>& rest,
                           const fiber::Context& ctx) {
  return TRY(answered(run, verb, paths, rest, ctx)).keep(ctx);
}

Result<> SandboxFiles::run_unkept(const std::string& run, std::string_view verb,
                                  const std::vector<Path>& paths,
                                  const std::vector<std::string>& rest, const fiber::Context& ctx) {
  TRY(answered(run, verb, paths, rest, ctx));
  return ok();
}

Result<sys::UniqueFd> load_files_program() {
  return sys::sealed_memfd("tare-files",
                           TRY(sys::read_program_beside("tare-files", kMaxProgramBytes)), true);
}

}  // namespace tare::host
