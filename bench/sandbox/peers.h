// Other people's sandboxes running the same static program, and what all of them run: bubblewrap,
// runc and systemd-nspawn as Debian packages them, each with its usual way to start one command.
#pragma once

#include <string>
#include <vector>

namespace tare::bench {

// Exit status 0 with no output shown.
bool run_program(const std::vector<std::string>& argv);

// A row has asked for one that does not start.
bool is_a_peer_missing();

class Peers {
 public:
  Peers();
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  // Not a sandbox, but what one cannot be made without: a process in new namespaces of all kinds
  // (with or without a network's), and execve. The kernel's own floor.
  bool floor(bool network) const;
  // One that does not start is said on stderr when it is asked for.
  bool has_bubblewrap() const;
  bool has_runc() const;
  bool has_nspawn() const;

  bool bubblewrap() const;  // all namespaces it has, /usr read-only, fresh /proc, /dev, /tmp
  bool runc(int number) const;
  bool nspawn(int number) const;
  // `runc exec` in a container that waits, from its making to its destruction.
  bool runc_start() const;
  bool runc_exec() const;
  void runc_stop() const;

  // Copies bench_true, bench_clock, ... from build/bin.
  static void copy(const std::string& program, const std::string& to);

 private:
  std::string live_name() const;
  std::string folder_;
  bool has_bubblewrap_ = false;
  bool has_runc_ = false, has_nspawn_ = false;
};

}  // namespace tare::bench
