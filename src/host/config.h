// What tared is told on its command line. Parsed in main.cpp; a plain value.
#pragma once

#include <cstdint>
#include <string>

namespace tare::host {

inline constexpr std::uint16_t kDefaultPort = 7419;
inline constexpr std::uint32_t kDefaultMaxRunning = 256;

struct Config {
  std::string home;                                // $TARE_HOME, absolute
  std::string user = "tare";                       // whom tared becomes
  std::uint16_t port = kDefaultPort;               // on 127.0.0.1; 0: a free one
  std::uint32_t max_running = kDefaultMaxRunning;  // sandboxes at once; more runs wait in a queue
};

}  // namespace tare::host
