// tare-launcher's loop: one thread, one epoll. Serves tared on its socket, gives each run an empty
// sandbox (one that waits in the pool, or one that a maker makes for it), watches every sandbox
// (reports, end, memory limit, deadlines), keeps what has ended until tared has released it, and
// has the makers fill the pool again.
//
// What never happens: a message from tared or from inside a sandbox ends the loop; a second tared
// is served beside the first (the newer one replaces it: the old one is dead or about to be).
#pragma once

#include <poll.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "sandbox/launch/pool.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/launch/sandbox.h"
#include "sandbox/make/makers.h"
#include "sys/fd.h"

namespace tare::sandbox {

struct LauncherConfig {
  sys::UniqueFd listener;
  sys::UniqueFd stop;    // signalfd of SIGTERM and SIGINT
  uid_t daemon_uid = 0;  // who may connect, besides root
  Logger* log = nullptr;
};

// What the launcher has besides its makers' tools; made once at start.
struct LaunchTools {
  MakerTools making;
  SlotTable slots;
  sys::UniqueFd runs_dir;  // <home>/runs
};

struct PoolOptions {
  std::size_t most = 0;      // sandboxes that wait, of all kinds; 0: none ever
  std::uint32_t makers = 1;  // processes
};

class [[nodiscard]] Launcher {
 public:
  static Result<std::unique_ptr<Launcher>> create(LauncherConfig config, LaunchTools tools,
                                                  const PoolOptions& pool);
  // Until SIGTERM or SIGINT. All sandboxes are killed and reaped then.
  Result<> run();

 private:
  Launcher(LauncherConfig config, LaunchTools tools, sys::UniqueFd epoll, const PoolOptions& pool)
      : config_(std::move(config)),
        tools_(std::move(tools)),
        epoll_(std::move(epoll)),
        pool_(pool.most, pool.makers),
        makers_(tools_.making, *config_.log) {}

  enum class Source : std::uint32_t { listener, stop, client, maker, control, ended, oom };
  Result<> watch(int fd, Source source, std::uint32_t number, short events = POLLIN);
  void handle(Source source, std::uint32_t number);
  void on_sandbox(Source source, std::uint32_t number);
  void on_reports(std::uint32_t number);
  void tell(const Told& told);

  void accept_client();
  void drop_client();
  void drop_client(std::string_view what, const Error& why);
  void on_client();
  void on_message(ToLauncher message, std::vector<sys::UniqueFd> fds);
  bool on_exec_message(ToLauncher& message, std::vector<sys::UniqueFd>& fds);
  void exec(const ExecMessage& message, std::vector<sys::UniqueFd> fds);
  void list();
  void release(const std::string& id);
  void send(const FromLauncher& message, std::span<const int> fds = {});
  void send_ended(const Sandbox& sandbox);
  void send_pool();

  void launch(LaunchMessage message, std::vector<sys::UniqueFd> fds);
  void kill(const KillMessage& message);
  void stop(const std::string& id);
  void go_on(Sandbox& sandbox);
  void end(Sandbox& sandbox, model::EndReason reason);
  void on_stopped(const Stopped& stopped, const std::vector<sys::UniqueFd>& fds);
  Result<> room_for(std::span<const sys::UniqueFd> received) const;
  void claim(Claim claim);
  void prepare(const PrepareMessage& message, sys::UniqueFd plan);
  void answer_expecting();
  void swap(const SwapMessage& message);
  void on_swapped(const Swapped& swapped);
  void claim_another(std::uint32_t number);
  Result<std::uint32_t> sandbox_for(const SandboxBase& base, int plan, std::uint64_t now_us);
  Result<std::uint32_t> order_sandbox(const SandboxBase& base, int plan, Makers::Urgency urgency);
  void begin(std::uint32_t number);
  void refused(const std::string& id, const Error& why);
  void on_maker(std::uint32_t index);
  void on_made(const Made& made, std::vector<sys::UniqueFd> fds, bool lost);
  void on_removed(const Removed& removed);
  void reap_strangers();
  void fill_pool();
  void finish(std::uint32_t number);
  void reaped(std::uint32_t number);
  void let_go(std::uint32_t number);
  void take_down(std::uint32_t number);
  int wait_ms() const;
  void check_deadlines();
  void end_all();
  Sandbox* find(const std::string& id);

  LauncherConfig config_;
  LaunchTools tools_;
  sys::UniqueFd epoll_;
  std::uint64_t most_fds_ = 0;
  sys::UniqueFd client_;
  bool greeted_ = false;
  bool stopping_ = false;
  const std::uint64_t instance_ = SystemRandom().next_u64();
  WarmPool pool_;
  std::deque<std::pair<std::uint64_t, std::string>> expecting_;  // numbers and kinds of `prepare`
  PoolMessage counters_;
  std::uint32_t next_number_ = 1;
  std::map<std::uint32_t, std::unique_ptr<Sandbox>> sandboxes_;
  std::map<std::string, std::uint32_t> numbers_;  // of those that are claimed
  std::map<std::uint32_t, SlotLease> closing_;    // taken down by a maker; free when it has
  Makers makers_;
  std::set<std::uint32_t> changing_;  // whose runner is being exchanged
  std::uint32_t deaths_seen_ = 0;     // of makers
};

}  // namespace tare::sandbox
