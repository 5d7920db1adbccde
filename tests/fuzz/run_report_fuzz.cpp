// The lines that a program reports: any bytes, in any pieces, give the same bounded report, and one
// that comes back from its record.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/run_report.h"
#include "reach.h"

using namespace tare::model;

namespace {

tare::fuzz::Reach g_result("a result"), g_error("an error"), g_progress("progress"),
    g_artifact("an artifact"), g_refused("a line that is refused");

RunReport read(std::string_view bytes, std::size_t piece) {
  ReportReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += piece) reader.take(bytes.substr(at, piece));
  reader.finish();
  return reader.report();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const RunReport whole = read(bytes, size + 1);
  CHECK(read(bytes, 3) == whole);
  CHECK(whole.artifacts.size() <= kMaxReportedArtifacts);
  if (whole.result) g_result.reached();
  if (whole.error) g_error.reached();
  if (whole.progress) g_progress.reached();
  if (!whole.artifacts.empty()) g_artifact.reached();
  if (whole.refused > 0) g_refused.reached();
  const auto back = run_report_from_json(to_json(whole));
  CHECK(back.ok() && *back == whole);
  return 0;
}
