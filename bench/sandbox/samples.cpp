#include "samples.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace tare::bench {

namespace {
constexpr std::size_t kEnoughForP999 = 1'000;  // with fewer it is the longest
}

double Samples::percentile(double p) {
  if (us.empty()) return 0;
  std::sort(us.begin(), us.end());
  return us[std::min(us.size() - 1, static_cast<std::size_t>(p * static_cast<double>(us.size())))];
}

void Samples::measure(const std::function<bool()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  if (!work()) ++failed;
  us.push_back(
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
}

void print_row(const Options& options, const std::string& name, Samples& own, Peer* peer) {
  const double p50 = own.percentile(0.5);
  const double p99 = own.percentile(0.99);
  const double p999 = own.percentile(0.999);
  const double peer_p50 = peer != nullptr ? peer->samples.percentile(0.5) : 0;
  const double peer_p99 = peer != nullptr ? peer->samples.percentile(0.99) : 0;
  const double ratio = peer != nullptr && p50 > 0 ? peer_p50 / p50 : 0;
  if (options.json) {
    fmt::print("{{\"name\":\"{}\",\"n\":{},\"p50_us\":{:.0f},\"p99_us\":{:.0f},", name,
               own.us.size(), p50, p99);
    fmt::print("\"p999_us\":{:.0f},\"failed\":{},", p999, own.failed);
    fmt::print("\"missed\":{},", own.missed ? std::to_string(*own.missed) : "null");
    if (peer == nullptr) {
      fmt::print("\"peer\":null,\"peer_p50_us\":null,\"ratio\":null}}\n");
    } else {
      fmt::print("\"peer\":\"{}\",\"peer_p50_us\":{:.0f},\"peer_p99_us\":{:.0f},", peer->name,
                 peer_p50, peer_p99);
      fmt::print("\"peer_failed\":{},\"ratio\":{:.2f}}}\n", peer->samples.failed, ratio);
    }
  } else {
    fmt::print("{:<15} n {:>5}  p50 {:>8.0f} us  p99 {:>8.0f} us", name, own.us.size(), p50, p99);
    if (own.us.size() >= kEnoughForP999) fmt::print("  p99.9 {:>8.0f} us", p999);
    fmt::print("  failed {}", own.failed);
    if (own.missed) fmt::print("  missed {}", *own.missed);
    if (peer != nullptr) {
      fmt::print("   {:<14} p50 {:>8.0f} us  p99 {:>8.0f} us  failed {}  ratio {:.2f}", peer->name,
                 peer_p50, peer_p99, peer->samples.failed, ratio);
    }
    fmt::print("\n");
  }
  std::fflush(stdout);
}

void print_value(const Options& options, const std::string& name, double value,
                 const std::string& unit, int n, int failed) {
  if (options.json) {
    fmt::print("{{\"name\":\"{}\",\"n\":{},\"value\":{:.1f},\"unit\":\"{}\",\"failed\":{}}}\n",
               name, n, value, unit, failed);
  } else {
    fmt::print("{:<15} n {:>5}  {:.1f} {}  failed {}\n", name, n, value, unit, failed);
  }
  std::fflush(stdout);
}

}  // namespace tare::bench
