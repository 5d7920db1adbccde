// The store's service: accepts connections, checks who calls (root or tare), greets, and forks one
// job a request.
//
// Owner: main. One thread, one poll loop, nothing in it waits: what can take long is a job's.
// Limits: connections and jobs are bounded; beyond them, calls wait unread in the socket. Errors:
// only what makes the service itself impossible; a bad client is answered Failed and disconnected.
// What never happens: two requests of one connection at a time; a job that outlives its client or
// the service.
#pragma once

#include <list>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "snapshot/import_budget.h"
#include "snapshot/layer_store.h"
#include "sys/fd.h"
#include "sys/process.h"
#include "sys/seqpacket.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxStoreConnections = 512;
inline constexpr std::size_t kMaxStoreJobs = 64;

class Service {
 public:
  struct Deps {
    const LayerStore& store;
    const Logger& log;
    const Clock& clock;
    Random& random;
    ImportBudget& budget;
  };
  // `stop` becomes readable when the service shall end (a signalfd).
  Service(Deps deps, sys::UniqueFd listener, int stop);

  Result<> run();

 private:
  struct Connection {
    sys::UniqueFd fd;
    bool greeted = false;
    bool closing = false;  // no more requests; goes when no job is left
    sys::Child job;
    std::string job_name;
    std::optional<std::size_t> slot = {};  // of the budget: it unpacks an archive
  };
  using Connections = std::list<Connection>;
  // Removes what a job that did not end well has left in staging.
  struct Sweeper {
    sys::Child child;
    std::string name;
    std::optional<std::size_t> slot;  // what is left counts until it is gone
    int attempt = 1;
  };

  Result<> accept_all();
  bool is_welcome(int fd) const;
  void serve(Connection& connection);
  void handle(Connection& connection, sys::Message message);
  void greet(Connection& connection, const Hello& hello);
  bool answer_at_once(Connection& connection, const Request& request, const sys::Message& message);
  void start_job(Connection& connection, const Request& request, std::vector<sys::UniqueFd> fds);
  [[noreturn]] void job_main(Connection& connection, const Request& request,
                             std::vector<sys::UniqueFd> fds);
  void refuse(Connection& connection, const Error& error);
  void end_job(Connection& connection);
  void cancel(Connection& connection);
  void leave_service(const Connection* kept);
  bool take_slot(Connection& connection, const Request& request);
  void give_back(std::optional<std::size_t> slot);
  void sweep_later(std::string name, std::optional<std::size_t> slot, int attempt = 1);
  void reap_sweepers();
  std::string fresh_name();

  Deps deps_;
  sys::UniqueFd listener_;
  int stop_;
  Connections connections_;
  std::list<Sweeper> sweepers_;
  std::size_t jobs_ = 0;
};

}  // namespace tare::snapshot
