#include "exec_rows.h"

#include <fmt/core.h>
#include <unistd.h>

#include "base/json.h"
#include "daemon.h"
#include "peers.h"
#include "support/session.h"

namespace tare::bench {

namespace {

// bench_true where the environment `host` shows it.
class VisibleTrue {
 public:
  VisibleTrue() : path_("/usr/local/bin/tare-bench-true-" + std::to_string(::getpid())) {
    Peers::copy("bench_true", path_);
  }
  VisibleTrue(const VisibleTrue&) = delete;
  VisibleTrue& operator=(const VisibleTrue&) = delete;
  ~VisibleTrue() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string text_of(const std::string& json, std::string_view key) {
  const auto value = parse_json(json);
  return value ? std::string(value->as_object().at(key).as_string()) : "";
}

// Until the end frame, which says how it ended.
bool exec_by_api(Daemon& daemon, const std::string& execs, const std::string& body) {
  const auto exec = parse_json(daemon.ask("POST", execs, body));
  if (!exec) return false;
  const auto number = exec->as_object().at("number").to_number<std::uint64_t>();
  const std::string frames = daemon.ask("GET", fmt::format("{}/{}/logs?follow=true", execs, number),
                                        "");
  return frames.find("\"reason\":\"exited\",\"exit_code\":0") != std::string::npos;
}

void api_row(const Options& options, const std::string& program) {
  Daemon daemon;
  const Peers peers;
  const std::string id = text_of(daemon.ask("POST", "/v1/sessions", R"({"environment":"host"})"),
                                 "id");
  const std::string execs = "/v1/runs/" + id + "/execs";
  const std::string body = fmt::format(R"({{"argv":["{}"]}})", program);
  const bool runc = peers.runc_start();
  Samples own;
  Peer peer{"runc exec", {}};
  (void)exec_by_api(daemon, execs, body);
  for (int i = 0; i < options.n; ++i) {
    own.measure([&] { return exec_by_api(daemon, execs, body); });
    if (runc && i % 4 == 0) peer.samples.measure([&] { return peers.runc_exec(); });
  }
  if (runc) peers.runc_stop();
  print_row(options, "exec", own, runc ? &peer : nullptr);
}

void launcher_row(const Options& options, const std::string& program) {
  testing::TestLauncher launcher;
  testing::TestSession session(launcher);
  Samples own;
  for (int i = 0; i < options.n; ++i) {
    own.measure([&] {
      return session.run(testing::exec_spec({program})).outcome.reason == model::EndReason::exited;
    });
  }
  session.kill();
  print_row(options, "exec_launcher", own);
}

}  // namespace

void exec_rows(const Options& options) {
  const VisibleTrue program;
  api_row(options, program.path());
  launcher_row(options, program.path());
}

}  // namespace tare::bench
