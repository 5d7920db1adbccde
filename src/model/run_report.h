// What the program of a run reports about itself, through its runner (docs/runners.md): one line of
// JSON each, in a pipe of its own.
//
//   {"type":"progress","fraction":0.5,"message":"half of it"}      the last one counts
//   {"type":"artifact","name":"report.txt","media_type":"text/plain"}
//   {"type":"result","value":<anything>}                           the last one counts
//   {"type":"error","kind":"ValueError","message":"...","traceback":"..."}
//
// The program is hostile: it may write anything, also instead of its runner. What is not one of
// these lines, or too much, is counted and passed over, and the first such line's fault is kept.
// Pure; one ReportReader is of one thread. What never happens: more than the bounds below is kept;
// a report changes how the run ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tare::model {

inline constexpr std::size_t kMaxReportLineBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMaxReportedArtifacts = 256;
inline constexpr std::size_t kMaxReportDepth = 24;  // of a line, its own braces included
inline constexpr std::size_t kMaxErrorKindBytes = 256;
inline constexpr std::size_t kMaxTracebackBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxReportMessageBytes = 4096;

struct ReportedError {
  std::string kind, message, traceback;
  friend bool operator==(const ReportedError&, const ReportedError&) = default;
};
struct ReportedArtifact {
  std::string name, media_type;
  friend bool operator==(const ReportedArtifact&, const ReportedArtifact&) = default;
};
struct ReportedProgress {
  double fraction = 0;  // 0 to 1
  std::string message;
  friend bool operator==(const ReportedProgress&, const ReportedProgress&) = default;
};

struct RunReport {
  std::optional<Json> result;
  std::optional<ReportedError> error;
  std::optional<ReportedProgress> progress;
  std::vector<ReportedArtifact> artifacts;  // by first mention; each name once
  std::uint64_t refused = 0;                // lines
  std::string first_refusal;                // why

  bool empty() const;
  friend bool operator==(const RunReport&, const RunReport&) = default;
};

Json to_json(const RunReport& report);
// Keys it does not know are passed over.
Result<RunReport> run_report_from_json(const Json& json);

// Takes the bytes as they come, in any pieces.
class ReportReader {
 public:
  ReportReader() = default;
  // Goes on from what was reported before.
  explicit ReportReader(RunReport before) : report_(std::move(before)) {}
  void take(std::string_view bytes);
  // No more comes: what is left is a line that was cut short.
  void finish();
  const RunReport& report() const { return report_; }
  // What was taken comes to report() and this, the line that has been begun. (The rest of one that
  // was refused for its length is read as another line by a reader that goes on from these.)
  const std::string& begun() const { return begun_; }

 private:
  void line(std::string_view text);
  void refuse(std::string why);

  RunReport report_;
  std::string begun_;      // of a line, up to kMaxReportLineBytes
  bool too_long_ = false;  // the rest of that line is passed over
};

}  // namespace tare::model
