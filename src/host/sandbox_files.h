// SandboxFiles: works on files of a live sandbox, by starting tare-files inside it for each
// operation (sandbox/files/protocol.h). tared never resolves a path of a sandbox: what it gets is
// bytes, and takes them for hostile.
//
// Owner: main. Loop thread only. A path is absolute, or below /home/agent. Errors: Errc::not_found,
// denied, conflict, exhausted, invalid with the field `path` (or the one that was given); timeout
// when the sandbox neither says nor takes anything for kAnswerTimeout; unavailable when what
// answered was not tare-files. What never happens: an operation outlives who asked for it (but a
// write for as long as it takes to clean up behind itself).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "host/checkpoints.h"
#include "host/exec_service.h"
#include "host/file_answers.h"
#include "sys/fd.h"

namespace tare::host {

inline constexpr std::chrono::seconds kAnswerTimeout{60};
inline constexpr std::size_t kMaxSandboxPathBytes = 4000;
inline constexpr std::uint64_t kMaxListedEntries = 100'000;

// One tare-files at work. When this goes, it is killed; one that writes a file is told by the end
// of its stdin, and takes away what it has begun.
class FileOperation {
 public:
  FileOperation(FileOperation&& other) noexcept;
  FileOperation& operator=(FileOperation&&) = delete;
  ~FileOperation();

  // The answer; for a write only after commit(). Its error as ours, naming the field.
  Result<sandbox::FileHead> head(const fiber::Context& ctx);
  // 0 at the end.
  Result<std::size_t> read_some(std::span<char> into, const fiber::Context& ctx);
  Result<SandboxEntry> entry(bool& end, bool& more, const fiber::Context& ctx);
  // nullopt at the end.
  Result<std::optional<SandboxEvent>> event(const fiber::Context& ctx);
  // Of a write. False: it takes no more, and head() says why.
  Result<bool> write(std::string_view bytes, const fiber::Context& ctx);
  Result<bool> commit(const fiber::Context& ctx);
  // All that is wanted has come: it ends by itself.
  void done() { done_ = true; }
  // Behind an answer without error: in a durable session, until a checkpoint holds what it changed.
  Result<> keep(const fiber::Context& ctx);

 private:
  friend class SandboxFiles;
  FileOperation() = default;
  Result<bool> read_whole(void* into, std::size_t size, const fiber::Context& ctx);
  Result<std::string> read_text(std::size_t size, const fiber::Context& ctx);
  Result<bool> write_raw(std::string_view bytes, const fiber::Context& ctx);
  Error strange() const;
  Error late(Error error) const;
  bool sleeps() const;

  ExecService* execs_ = nullptr;  // null: moved away
  std::string run_;
  std::uint32_t number_ = 0;
  std::shared_ptr<TransientExec> exec_;
  sys::UniqueFd in_, out_;
  Checkpoints* checkpoints_ = nullptr;
  std::uint32_t attempt_ = 0;  // of its sandbox
  bool done_ = false, writes_ = false;
  std::vector<std::pair<std::string, std::string>> fields_;  // and their paths, for errors
};

class SandboxFiles {
 public:
  // `program`: tare-files, as a sealed memfd.
  SandboxFiles(ExecService& execs, Checkpoints& checkpoints, const sys::UniqueFd& program)
      : execs_(execs), checkpoints_(checkpoints), program_(program) {}

  struct Path {
    std::string field, path;
  };
  // `verb` and `rest` as in sandbox/files/protocol.h; the paths come between them.
  Result<FileOperation> start(const std::string& run, std::string_view verb,
                              const std::vector<Path>& paths, const std::vector<std::string>& rest,
                              const fiber::Context& ctx);
  // The same, for those that only answer; with keep().
  Result<> run(const std::string& run, std::string_view verb, const std::vector<Path>& paths,
               const std::vector<std::string>& rest, const fiber::Context& ctx);
  // Without: what we do by ourselves, of which nobody has an answer. Also while the session gets
  // another runner, when a checkpoint would wait for whoever waits for this.
  Result<> run_unkept(const std::string& run, std::string_view verb, const std::vector<Path>& paths,
                      const std::vector<std::string>& rest, const fiber::Context& ctx);

 private:
  Result<FileOperation> answered(const std::string& run, std::string_view verb,
                                 const std::vector<Path>& paths,
                                 const std::vector<std::string>& rest, const fiber::Context& ctx);

  ExecService& execs_;
  Checkpoints& checkpoints_;
  const sys::UniqueFd& program_;
};

// From beside our own program.
Result<sys::UniqueFd> load_files_program();

}  // namespace tare::host
