// The lines that a program reports: any bytes, in any pieces, give the same bounded report, and one
// that comes back from its record.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/run_report.h"

using namespace tare::model;

namespace {

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
  const auto back = run_report_from_json(to_json(whole));
  CHECK(back.ok() && *back == whole);
  return 0;
}
