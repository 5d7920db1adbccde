#include "runs/report_log.h"

#include <fcntl.h>

#include <vector>

#include "base/json.h"
#include "runs/store.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::runs {

namespace {

constexpr const char* kLog = "report.log";
constexpr const char* kState = "report.state";

Result<model::RunReport> read_state(int folder) {
  auto text = sys::read_file_at(folder, kState, kMaxStoredJsonBytes);
  if (!text && text.error().code == Errc::not_found) return model::RunReport();
  if (!text) return std::move(text).error();
  return model::run_report_from_json(TRY(parse_json(*text, {.max_bytes = kMaxStoredJsonBytes})));
}

}  // namespace

Result<std::unique_ptr<ReportLog>> ReportLog::open(int dir, std::string_view folder) {
  sys::UniqueFd at = TRY(sys::open_at(dir, folder, O_RDONLY | O_DIRECTORY).context("report"));
  sys::UniqueFd log = TRY(
      sys::open_beneath(at.get(), kLog, O_RDWR | O_CREAT, 0600).context("report"));
  model::RunReport before = TRY(read_state(at.get()).context("report.state"));
  const auto length = static_cast<std::uint64_t>(TRY(sys::stat_fd(log.get())).st_size);
  std::unique_ptr<ReportLog> report(
      new ReportLog(std::move(at), std::move(log), std::move(before)));
  TRY(report->read_up_to(length).context("report"));
  return report;
}

Result<> ReportLog::read_up_to(std::uint64_t length) {
  std::vector<std::byte> buffer(kPumpBytes);
  while (length_ < length) {
    const std::size_t most = std::min<std::uint64_t>(buffer.size(), length - length_);
    const std::size_t n = TRY(sys::read_at(log_.get(), std::span(buffer).first(most), length_));
    if (n == 0) return Error{Errc::internal, "report.log is shorter than it was"};
    reader_.take({reinterpret_cast<const char*>(buffer.data()), n});
    length_ += n;
  }
  return ok();
}

Result<sys::Spliced> ReportLog::pump(int pipe) {
  const auto moved = TRY(
      sys::splice_to_file(pipe, log_.get(), length_, kPumpBytes).context("report"));
  TRY(read_up_to(length_ + moved.bytes).context("report"));
  if (length_ >= kCompactBytes) TRY(compact().context("report"));
  return moved;
}

// Lines that are read twice, should we die in between, come to the same (but for refused ones,
// which are counted twice).
Result<> ReportLog::compact() {
  TRY(sys::replace_file(folder_.get(), kState, to_text(model::to_json(report())), 0600));
  TRY(sys::replace_file(folder_.get(), kLog, reader_.begun(), 0600));
  log_ = TRY(sys::open_beneath(folder_.get(), kLog, O_RDWR));
  length_ = reader_.begun().size();
  return ok();
}

}  // namespace tare::runs
