// What the program of a run has reported (model/run_report.h), on disk and read: report.log in the
// run's folder holds its lines as they came, moved there inside the kernel, so that a daemon that
// dies loses none. When they get long, what they come to is kept in report.state instead, and
// report.log begins anew with the line that has been begun. Nothing is synced: power loss ends the
// run.
//
// Owner: tared, one for each live run. Threads: one. Units: bytes. Errors: the file system's. What
// never happens: more than kCompactBytes, a pump and report.state are on the disk, whatever the
// program writes; report.state holds anything but what we have written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/run_report.h"
#include "sys/fd.h"
#include "sys/pipe_file.h"

namespace tare::runs {

class ReportLog {
 public:
  static constexpr std::uint64_t kCompactBytes = std::uint64_t{1} << 20;
  static constexpr std::size_t kPumpBytes = std::size_t{64} << 10;

  // `folder` must exist. Goes on from what is there.
  static Result<std::unique_ptr<ReportLog>> open(int dir, std::string_view folder);

  // What is in the pipe, at most kPumpBytes. Never waits.
  Result<sys::Spliced> pump(int pipe);
  // The program is gone.
  void finish() { reader_.finish(); }
  const model::RunReport& report() const { return reader_.report(); }

 private:
  ReportLog(sys::UniqueFd folder, sys::UniqueFd log, model::RunReport before)
      : folder_(std::move(folder)), log_(std::move(log)), reader_(std::move(before)) {}
  Result<> read_up_to(std::uint64_t length);
  Result<> compact();

  sys::UniqueFd folder_, log_;
  model::ReportReader reader_;
  std::uint64_t length_ = 0;  // of report.log, all of it read
};

}  // namespace tare::runs
