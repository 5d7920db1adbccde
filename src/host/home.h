// $TARE_HOME as tared sees it: folders, lock, sockets, API key. What needs root is done here first;
// then tared becomes its user for good.
//
// Owner: main, single-threaded until become_daemon() has returned. Errors: Errc::conflict when
// another tared holds the home (its pid is named), Errc::denied when a folder cannot be used.
#pragma once

#include <string>

#include "base/hash.h"
#include "base/random.h"
#include "base/result.h"
#include "fiber/socket.h"
#include "host/config.h"
#include "sys/fd.h"

namespace tare::host {

struct Home {
  std::string path;
  sys::UniqueFd state;  // $TARE_HOME/state
  sys::UniqueFd runs;   // $TARE_HOME/runs
  sys::UniqueFd lock;   // held as long as tared lives
  std::string launcher_socket() const { return path + "/run/launcher.sock"; }
  std::string store_socket() const { return path + "/run/store.sock"; }
  std::string database() const { return path + "/state/tare.db"; }
  std::string blobs() const { return path + "/blobs"; }
};

struct Listeners {
  fiber::UnixListener unix_socket;
  fiber::TcpListener tcp;
  std::string address() const;  // "127.0.0.1:7419"
};

// Makes what is not there, with owner and mode; takes the lock; listens; becomes Config::user. In
// this order: the folder of the sockets is root's.
struct Prepared {
  Home home;
  Listeners listeners;
};
Result<Prepared> prepare_home(const Config& config);

// SHA-256 of the key in state/api_key; the key is made when there is none.
Result<Sha256Digest> api_key_digest(const Home& home, Random& random);

}  // namespace tare::host
