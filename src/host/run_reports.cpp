#include "host/run_reports.h"

#include <array>
#include <chrono>

#include "fiber/timer.h"
#include "fiber/wait.h"
#include "host/run_service.h"
#include "sys/files.h"

namespace tare::host {

namespace {

using namespace std::chrono_literals;

// Who reports more than this has to wait before more is read, in whatever pieces it comes: reading
// it costs tared time that others need.
constexpr std::size_t kAtOnceBytes = std::size_t{16} << 10;
constexpr fiber::Duration kPause = 20ms;

Result<> take_all(LiveRun& live, const fiber::Context& ctx) {
  const int pipe = live.report_read.get();
  std::size_t since_pause = 0;
  for (;;) {
    const auto taken = TRY(live.report->pump(pipe));
    if (taken.bytes > 0) live.changed.notify_all();
    if (taken.state == sys::PipeState::ended) return ok();
    if (taken.state == sys::PipeState::drained) TRY(fiber::wait_readable(pipe, ctx));
    since_pause += taken.bytes;
    // Nobody is left who could be held up by it.
    if (since_pause >= kAtOnceBytes && !live.ended) {
      since_pause = 0;
      TRY(fiber::sleep_for(kPause, ctx));
    }
    TRY(ctx.check());
  }
}

// So that the program is not held up: what it writes goes nowhere.
Result<> drop_all(int pipe, const fiber::Context& ctx) {
  std::array<std::byte, kAtOnceBytes> bytes;
  for (;;) {
    auto read = sys::read_some(pipe, bytes);
    if (!read && read.error().sys != EAGAIN) return std::move(read).error();
    if (read && *read == 0) return ok();
    TRY(fiber::wait_readable(pipe, ctx));
  }
}

}  // namespace

void take_reports(LiveRun& live, const Logger& log, const fiber::Context& ctx) {
  auto taken = take_all(live, ctx);
  if (taken || ctx.cancelled()) return;
  log.error("a report could not be kept", taken.error(), {{"run", live.run.id}});
  live.add_note("what it reported could not be kept");
  (void)drop_all(live.report_read.get(), ctx);
}

void finish_report(LiveRun& live, const RunDeps& deps) {
  if (!reports(live.run.request)) return;
  if (!live.report) {
    if (auto kept = runs::ReportLog::open(deps.runs_dir, live.run.id))
      live.report = std::move(*kept);
  }
  if (live.report) live.report->finish();
}

Result<> record_report(runs::Store& store, const LiveRun& live) {
  if (!live.report || live.report->report().empty()) return ok();
  return store.put_report(kTenant, live.run.id, to_text(model::to_json(live.report->report())));
}

// ---- what can be asked

Result<std::optional<model::SessionRunner>> RunService::session_runner(const std::string& id) {
  if (const auto live = this->live(id)) return live->runner;
  return deps_.records.run(
      [&](runs::Store& store) { return store.get_session_runner(kTenant, id); });
}

Result<std::optional<Json>> RunService::report(const std::string& id) {
  std::optional<Json> found;
  if (const auto live = this->live(id); live && live->report && !live->ended_durably()) {
    if (const model::RunReport& report = live->report->report(); !report.empty())
      found = model::to_json(report);
    return found;
  }
  const std::string text = TRY(
      deps_.records.run([&](runs::Store& store) { return store.get_report(kTenant, id); }));
  if (!text.empty())
    found = TRY(parse_json(text, {.max_bytes = runs::kMaxStoredJsonBytes}).context("report"));
  return found;
}

}  // namespace tare::host
