// The output of a run, followed to its end. A connection that breaks, because tared was restarted
// or killed, is taken up again where it stopped: each stream has its byte offset, so nothing is
// printed twice or left out.
//
// Owner: one command; loop thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/app.h"
#include "fiber/context.h"
#include "model/log_frames.h"
#include "model/run.h"

namespace tare::cli {

// Where output goes. An error ends the following and is what follow_output returns.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  virtual Result<> write(model::FrameType stream, std::string_view bytes,
                         const fiber::Context& ctx) = 0;
  // `bytes` bytes of the stream were not kept.
  virtual void missing(model::FrameType stream, std::uint64_t bytes, const fiber::Context& ctx) = 0;
};

// Each to its own, byte-exact, as it comes.
class StreamingSink final : public OutputSink {
 public:
  explicit StreamingSink(App& app) : app_(app) {}
  Result<> write(model::FrameType stream, std::string_view bytes,
                 const fiber::Context& ctx) override;
  void missing(model::FrameType stream, std::uint64_t bytes, const fiber::Context& ctx) override;

 private:
  App& app_;
};

// Both to stderr: the progress of a build.
class ProgressSink : public OutputSink {
 public:
  explicit ProgressSink(App& app) : app_(app) {}
  Result<> write(model::FrameType stream, std::string_view bytes,
                 const fiber::Context& ctx) override;
  void missing(model::FrameType stream, std::uint64_t bytes, const fiber::Context& ctx) override;

 private:
  App& app_;
};

// The same of a pull or push, whole lines, but not its reason to fail ("E: ..."), which the outcome
// tells.
class TransferSink final : public ProgressSink {
 public:
  using ProgressSink::ProgressSink;
  Result<> write(model::FrameType stream, std::string_view bytes,
                 const fiber::Context& ctx) override;
  // The last line of its stdout: of a push, what it has made.
  const std::string& result() const { return result_; }

 private:
  std::string line_, result_;
};

// Kept in memory for --json, the first kMaxCapturedBytes of each stream.
inline constexpr std::size_t kMaxCapturedBytes = std::size_t{8} << 20;
class CapturingSink final : public OutputSink {
 public:
  Result<> write(model::FrameType stream, std::string_view bytes,
                 const fiber::Context& ctx) override;
  void missing(model::FrameType stream, std::uint64_t bytes, const fiber::Context& ctx) override;
  // Adds "stdout", "stdout_encoding" ("utf-8" or "base64"), "stdout_cut", and the same for stderr.
  void add_to(JsonObject& object) const;

 private:
  struct Captured {
    std::string bytes;
    bool cut = false;
  };
  Captured out_, err_;
};

struct FollowOptions {
  std::string id;         // of the run
  std::string path = {};  // whose logs; "": the run's
  bool follow = true;     // until the run has ended; else what there is now
  bool attach = false;    // the run waits for us beyond the kept log
};

// What the end frame says: the run, or the exec, as it was when its output ended. Errors as below.
Result<Json> follow_frames(App& app, const FollowOptions& options, OutputSink& sink,
                           const fiber::Context& ctx);

// The run as it was when its output ended. Errors: Errc::unavailable when tared stays away for a
// minute.
Result<model::Run> follow_output(App& app, const FollowOptions& options, OutputSink& sink,
                                 const fiber::Context& ctx);

}  // namespace tare::cli
