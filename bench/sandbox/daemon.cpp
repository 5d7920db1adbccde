#include "daemon.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "base/json.h"
#include "peers.h"
#include "support/launcher.h"
#include "sys/files.h"

namespace tare::bench {

namespace {

sys::UniqueFd connect_to(const std::string& path) {
  sys::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) throw std::runtime_error("socket");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("connect " + path);
  return fd;
}

std::string header_of(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t from = at + name.size() + 4;
  return head.substr(from, head.find("\r\n", from) - from);
}

}  // namespace

Daemon::Daemon() : home_("/tmp/tare-bench-XXXXXX"), tare_(testing::bin_dir() + "/tare") {
  if (::mkdtemp(home_.data()) == nullptr) throw std::runtime_error("mkdtemp");
  ::chmod(home_.c_str(), 0755);  // the daemon's user must reach its part of the home
  if (!run_program({tare_, "--home", home_, "up", "--detach", "--port", "0"}))
    throw std::runtime_error("tare up failed: try " + tare_ + " --home " + home_ + " up");
  socket_ = connect_to(home_ + "/run/tared.sock");
}

Daemon::~Daemon() {
  run_program({tare_, "--home", home_, "down"});
  (void)sys::remove_tree_at(sys::kCwd, home_);
}

std::string Daemon::ask(const std::string& method, const std::string& path,
                        const std::string& body) {
  const std::string request = fmt::format(
      "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      method, path, body.size(), body);
  if (!sys::write_all(socket_.get(), request)) throw std::runtime_error("tared closed");
  std::string answer;
  char buffer[65536];
  const auto more = [&] {
    const ssize_t n = ::read(socket_.get(), buffer, sizeof buffer);
    if (n <= 0) throw std::runtime_error("tared closed");
    answer.append(buffer, static_cast<std::size_t>(n));
  };
  while (answer.find("\r\n\r\n") == std::string::npos) more();
  const std::size_t head_end = answer.find("\r\n\r\n") + 4;
  const std::string head = answer.substr(0, head_end);
  const std::string length = header_of(head, "Content-Length");
  if (length.empty()) {  // chunked: the frames of a log, whole when the last chunk is there
    while (!answer.ends_with("\r\n0\r\n\r\n")) more();
  } else {
    while (answer.size() < head_end + std::stoul(length)) more();
  }
  return head.starts_with("HTTP/1.1 2") ? answer.substr(head_end) : "";
}

std::uint64_t Daemon::run_clock_us(const std::string& program) {
  return run_us(fmt::format(R"({{"environment":"host","argv":["{}"]}})", program));
}

std::uint64_t Daemon::run_us(const std::string& body) {
  const auto json = parse_json(ask("POST", "/v1/runs", body));
  if (!json) return 0;
  const std::string id(json->as_object().at("id").as_string());
  const std::string frames = ask("GET", "/v1/runs/" + id + "/logs?follow=true", "");
  // Within a chunk: u8 type 1, three zero bytes, u32 length 8, eight bytes.
  const std::string header("\x01\0\0\0\0\0\0\x08", 8);
  const std::size_t at = frames.find(header);
  if (at == std::string::npos || at + 16 > frames.size()) return 0;
  std::uint64_t ns = 0;
  std::memcpy(&ns, frames.data() + at + 8, sizeof ns);
  return ns / 1000;
}

VisibleClock::VisibleClock() : path_("/usr/local/bin/tare-bench-" + std::to_string(::getpid())) {
  Peers::copy("bench_clock", path_);
}

VisibleClock::~VisibleClock() { ::unlink(path_.c_str()); }

}  // namespace tare::bench
