// A daemon of the benchmark's own, on a home of its own, and one kept connection to its API: as
// little client as there can be, so that what is measured is the daemon. Blocking; the answers are
// our own daemon's, so parsed just as far as needed.
#pragma once

#include <cstdint>
#include <string>

#include "sys/fd.h"

namespace tare::bench {

class Daemon {
 public:
  Daemon();
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  const std::string& home() const { return home_; }
  const std::string& tare() const { return tare_; }  // path of the CLI

  // The body of the answer; empty when the status is not 2xx.
  std::string ask(const std::string& method, const std::string& path, const std::string& body);

  // One run of `program` (bench_clock, at a place that the environment `host` shows) through POST
  // /v1/runs, until its end. When its first instruction was executed, in CLOCK_MONOTONIC us, told
  // by the program itself; 0: it failed.
  std::uint64_t run_clock_us(const std::string& program);
  // The same of any run that comes to executing it.
  std::uint64_t run_us(const std::string& body);

 private:
  std::string home_, tare_;
  sys::UniqueFd socket_;
};

// bench_clock below /usr, as the environment `host` shows nothing else of this machine; removed
// again.
class VisibleClock {
 public:
  VisibleClock();
  ~VisibleClock();
  VisibleClock(const VisibleClock&) = delete;
  VisibleClock& operator=(const VisibleClock&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tare::bench
