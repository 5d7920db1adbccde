// The home of a daemon ($TARE_HOME): where things are in it, and making it. The layout is that of
// ARCHITECTURE.md. prepare_home needs root; it sets owner and mode of every folder, each time, and
// never follows a symlink on the way. Refused: a home that somebody other than root could exchange
// under our feet (Errc::denied), or that the daemon's user cannot reach.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/users.h"

namespace tare::cli {

struct Home {
  std::string path;  // absolute

  std::string tared_socket() const { return path + "/run/tared.sock"; }
  std::string launcher_socket() const { return path + "/run/launcher.sock"; }
  std::string store_socket() const { return path + "/run/store.sock"; }
  std::string tared_info() const { return path + "/run/tared.json"; }
  std::string lock() const { return path + "/run/up.lock"; }
  std::string api_key() const { return path + "/state/api_key"; }
  std::string log_of(std::string_view program) const {
    return path + "/log/" + std::string(program) + ".log";
  }
};

Result<> prepare_home(const Home& home, const sys::SystemUser& user);
// The same without root: all of it is the caller's.
Result<> prepare_own_home(const Home& home, const sys::SystemUser& caller);

}  // namespace tare::cli
