// Samples of one measured row, and how a row is printed: a line for people, or one JSON object
// {"name","n","p50_us","p99_us","p999_us","failed","missed","peer","peer_p50_us","peer_p99_us",
// "peer_failed","ratio"} with --json.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tare::bench {

struct Options {
  bool json = false;
  bool full = false;   // the heavy rows too: 2,000 idle sandboxes, a minute of churn
  bool alone = false;  // `fresh` without its peers, for whoever traces it
  int n = 200;
  std::string only;  // one row; empty: all
};

struct Samples {
  std::vector<double> us;
  int failed = 0;
  std::optional<std::uint64_t> missed;  // launches for which none waited in the pool; of its rows

  double percentile(double p);
  // Times `work`; false is a failure.
  void measure(const std::function<bool()>& work);
};

struct Peer {
  std::string name;
  Samples samples;
};

void print_row(const Options& options, const std::string& name, Samples& own, Peer* peer = nullptr);
// A row that is a number of its own kind: "value" and "unit" instead of times.
void print_value(const Options& options, const std::string& name, double value,
                 const std::string& unit, int n, int failed);

}  // namespace tare::bench
