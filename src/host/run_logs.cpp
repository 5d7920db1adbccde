#include "host/run_logs.h"

namespace tare::host {

Result<std::shared_ptr<OpenLog>> RunLogs::open(const std::string& run_id, bool wait_for_reader) {
  if (const auto found = open_.find(run_id); found != open_.end()) {
    if (auto log = found->second.lock()) return log;
  }
  std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
  auto log = std::make_shared<OpenLog>();
  runs::OutputLogOptions options;
  options.wait_for_reader = wait_for_reader;
  log->log = TRY(runs::OutputLog::open(runs_dir_, run_id, options, clock_).context("output log"));
  open_[run_id] = log;
  return log;
}

}  // namespace tare::host
