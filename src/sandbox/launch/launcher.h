// tare-launcher's loop: one thread, one epoll. Serves tared on its socket, watches every sandbox
// (reports, end, memory limit, deadlines), keeps what has ended until tared has released it.
//
// What never happens: a message from tared or from inside a sandbox ends the loop; a second tared
// is served beside the first (the newer one replaces it: the old one is dead or about to be).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "sandbox/launch/protocol.h"
#include "sandbox/launch/sandbox.h"
#include "sys/fd.h"

namespace tare::sandbox {

struct LauncherConfig {
  sys::UniqueFd listener;
  sys::UniqueFd stop;    // signalfd of SIGTERM and SIGINT
  uid_t daemon_uid = 0;  // who may connect, besides root
  Logger* log = nullptr;
};

class [[nodiscard]] Launcher {
 public:
  static Result<std::unique_ptr<Launcher>> create(LauncherConfig config, LaunchTools tools);
  // Until SIGTERM or SIGINT. All sandboxes are killed and reaped then.
  Result<> run();

 private:
  Launcher(LauncherConfig config, LaunchTools tools, sys::UniqueFd epoll)
      : config_(std::move(config)), tools_(std::move(tools)), epoll_(std::move(epoll)) {}

  enum class Source : std::uint32_t { listener, stop, client, control, ended, oom };
  Result<> watch(int fd, Source source, std::uint32_t number);
  void handle(Source source, std::uint32_t number);
  void accept_client();
  void drop_client();
  void on_client();
  void on_message(ToLauncher message, std::vector<sys::UniqueFd> fds);
  void launch(const LaunchMessage& message, std::vector<sys::UniqueFd> fds);
  void list();
  void finish(std::uint32_t number);
  void send(const FromLauncher& message, std::span<const int> fds = {});
  void send_ended(const Sandbox& sandbox);
  int wait_ms() const;
  void check_deadlines();
  void end_all();
  Sandbox* find(const std::string& id);

  LauncherConfig config_;
  LaunchTools tools_;
  sys::UniqueFd epoll_;
  sys::UniqueFd client_;
  bool greeted_ = false;
  bool stopping_ = false;
  const std::uint64_t instance_ = SystemRandom().next_u64();
  std::uint32_t next_number_ = 1;
  std::map<std::uint32_t, std::unique_ptr<Sandbox>> sandboxes_;
  std::map<std::string, std::uint32_t> numbers_;
};

}  // namespace tare::sandbox
