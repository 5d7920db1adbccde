// RunLogs: the output logs that are open, one for each run, shared by the run's driver and
// everybody who reads. Owner: main. Loop thread only. A log closes when its last user lets go.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "fiber/event.h"
#include "runs/output_log.h"

namespace tare::host {

struct OpenLog {
  std::unique_ptr<runs::OutputLog> log;
  fiber::Event changed;      // bytes have come, or a reader has made room
  std::size_t attached = 0;  // readers the run waits for (one, or two for a moment)
};

class RunLogs {
 public:
  // `runs_dir` is $TARE_HOME/runs, borrowed.
  RunLogs(int runs_dir, const Clock& clock) : runs_dir_(runs_dir), clock_(clock) {}

  // The folder (of a run, or of an exec below it) must exist. `options` count only for one who
  // opens it first.
  Result<std::shared_ptr<OpenLog>> open(const std::string& folder,
                                        const runs::OutputLogOptions& options);
  Result<std::shared_ptr<OpenLog>> open(const std::string& folder, bool wait_for_reader) {
    runs::OutputLogOptions options;
    options.wait_for_reader = wait_for_reader;
    return open(folder, options);
  }

 private:
  int runs_dir_;
  const Clock& clock_;
  std::map<std::string, std::weak_ptr<OpenLog>, std::less<>> open_;
};

}  // namespace tare::host
