// LauncherLink: the one connection to tare-launcher. Connects, greets, asks what is live, passes on
// what it says, and connects again when it breaks. Whether a launcher is the one from before is
// told by its instance number: sandboxes live and die with it. One of another release is refused.
//
// Owner: main; run() is a fiber of its own. Loop thread only. Errors of send(): Errc::unavailable
// while it is not connected. What never happens: a message is sent before the launcher has said
// what is live.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "base/result.h"
#include "fiber/context.h"
#include "fiber/event.h"
#include "fiber/task_group.h"
#include "sandbox/launch/protocol.h"
#include "sys/fd.h"
#include "sys/seqpacket.h"

namespace tare::host {

// Called on the loop, from the link's fiber. Must not wait.
class LauncherEvents {
 public:
  virtual ~LauncherEvents() = default;
  // The launcher is gone, or is another one than before: the sandboxes of the one before are dead.
  virtual void on_launcher_gone(const std::string& why) = 0;
  virtual void on_live(const sandbox::LiveMessage& message, std::vector<sys::UniqueFd> fds) = 0;
  // Everything that is live has been told; from here on messages can be sent.
  virtual void on_listed() = 0;
  virtual void on_started(const sandbox::StartedMessage& message) = 0;
  virtual void on_denied(const sandbox::DeniedMessage& message) = 0;
  virtual void on_ended(const sandbox::EndedMessage& message, sys::UniqueFd output) = 0;
};

// The same for execs. `live` comes after that of its run.
class ExecEvents {
 public:
  virtual ~ExecEvents() = default;
  virtual void on_live_exec(const sandbox::LiveExecMessage& message,
                            std::vector<sys::UniqueFd> fds) = 0;
  virtual void on_execs_listed() = 0;
  virtual void on_exec_started(const sandbox::ExecStartedMessage& message,
                               sys::UniqueFd terminal) = 0;
  virtual void on_exec_ended(const sandbox::ExecEndedMessage& message) = 0;
};

struct PeerStatus {
  bool connected = false;
  std::uint32_t pid = 0;
  std::string version;  // as it said itself; also when it was refused for it
  std::string detail;   // why it is not connected
};
// The answer to a peer of another release; it is asked again until it is ours.
Error other_release(std::string_view program, std::string_view version);

// What has been read of it is what it is: it stands still until it is told to go on.
struct StandingSandbox {
  sys::UniqueFd upper;   // of its overlay
  sys::UniqueFd opaque;  // as in sandbox::StoppedMessage
  sys::UniqueFd base;    // likewise; not valid where only layers are below
  std::uint32_t uid_base = 0;
  std::uint32_t processes = 0;  // as in sandbox::StoppedMessage
};

class LauncherLink {
 public:
  LauncherLink(std::string socket_path, LauncherEvents& events, ExecEvents& execs,
               const Logger& log)
      : path_(std::move(socket_path)), events_(events), execs_(execs), log_(log) {}

  // Until ctx ends.
  void run(const fiber::Context& ctx);

  Result<> send(const sandbox::ToLauncher& message, std::span<const int> fds,
                const fiber::Context& ctx);
  // Connected, greeted, and listed.
  bool ready() const { return ready_; }
  const PeerStatus& status() const { return status_; }
  // The counters of its pool, as they are now.
  Result<sandbox::PoolMessage> pool(const fiber::Context& ctx);
  // Errors: Errc::conflict with why it cannot, and then nothing has happened; after any other it
  // may stand all the same, and is to be told to go on.
  Result<StandingSandbox> stop(const std::string& run, const fiber::Context& ctx);
  // Not waited for. When the connection is gone the launcher lets it go on by itself.
  void go_on(const std::string& run);
  // Another runner for a live sandbox; all that ran in it is dead then. After an error `touched`
  // says whether the sandbox is lost.
  Result<sandbox::SwappedMessage> swap(sandbox::SwapMessage wanted, bool& touched,
                                       const fiber::Context& ctx);
  // Has a sandbox made ahead of time, and waits until it is there. False: it is not, and why is
  // the launcher's to know; no reason to wait any longer.
  Result<bool> prepare(const sandbox::SandboxBase& base, int plan, const fiber::Context& ctx);
  // Which launcher process that is, as text; all zeros: none yet.
  std::string instance() const { return fmt::format("{:016x}", known_instance_); }

 private:
  Result<> connect(const fiber::Context& ctx);
  Result<sandbox::WelcomeMessage> greet(const fiber::Context& ctx);
  Result<> serve(const fiber::Context& ctx);
  Result<sys::Message> receive(const fiber::Context& ctx);
  Result<> send_now(const sandbox::ToLauncher& message, std::span<const int> fds,
                    const fiber::Context& ctx);
  Result<> dispatch(sys::Message message);
  bool dispatch_exec(const sandbox::FromLauncher& message, std::vector<sys::UniqueFd>& fds);
  void on_stopped(sandbox::StoppedMessage message, std::vector<sys::UniqueFd> fds);
  void disconnected(const Error& why);

  std::string path_;
  LauncherEvents& events_;
  ExecEvents& execs_;
  const Logger& log_;
  sys::UniqueFd socket_;
  std::uint64_t connection_ = 0;  // counts up, so that a sender notices a new one
  bool ready_ = false;
  bool absent_told_ = false;
  std::uint64_t known_instance_ = 0;  // of the launcher whose sandboxes we know; 0: none yet
  std::string refused_version_;       // of the last greeting, until its connection is closed
  PeerStatus status_;
  sandbox::PoolMessage pool_;
  std::uint64_t pool_told_ = 0;  // how often
  fiber::Event pool_changed_;
  struct Stopping {
    std::optional<sandbox::StoppedMessage> answer;
    std::vector<sys::UniqueFd> fds;
  };
  std::map<std::string, Stopping, std::less<>> stopping_;  // by run
  fiber::Event stopping_changed_;
  fiber::TaskGroup* senders_ = nullptr;  // while run() runs
  // By run; nullopt: not answered yet.
  std::map<std::string, std::optional<sandbox::SwappedMessage>, std::less<>> swapping_;
  fiber::Event swapping_changed_;
  std::uint64_t last_preparing_ = 0;
  // By number; nullopt: not answered yet.
  std::map<std::uint64_t, std::optional<bool>> preparing_;
  fiber::Event preparing_changed_;
};

}  // namespace tare::host
