#include "host/run_logs.h"

namespace tare::host {

Result<std::shared_ptr<OpenLog>> RunLogs::open(const std::string& folder,
                                               const runs::OutputLogOptions& options) {
  if (const auto found = open_.find(folder); found != open_.end()) {
    if (auto log = found->second.lock()) return log;
  }
  std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
  auto log = std::make_shared<OpenLog>();
  log->log = TRY(runs::OutputLog::open(runs_dir_, folder, options, clock_).context("output log"));
  open_[folder] = log;
  return log;
}

}  // namespace tare::host
