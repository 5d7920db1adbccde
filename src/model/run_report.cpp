#include "model/run_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "base/decode.h"
#include "base/ids.h"
#include "base/limits.h"
#include "model/relative_path.h"

namespace tare::model {

namespace {

constexpr JsonLimits kLine{.max_bytes = kMaxReportLineBytes, .max_depth = kMaxReportDepth};

Result<double> read_fraction(const Node& node) {
  const Json& value = node.value();
  double fraction = -1;
  if (const auto* number = value.if_double()) fraction = *number;
  if (const auto* number = value.if_int64()) fraction = static_cast<double>(*number);
  if (const auto* number = value.if_uint64()) fraction = static_cast<double>(*number);
  if (std::isfinite(fraction) && fraction >= 0 && fraction <= 1) return fraction;
  return node.refuse("is a number from 0 to 1");
}

Result<std::string> read_artifact_name(const Node& node) {
  std::string name = TRY(read_text(node, kMaxPathBytes, 1));
  if (auto checked = check_relative_path("name", name); !checked)
    return node.refuse("is no path below /output");
  return name;
}

Result<ReportedProgress> read_progress(const Node& node) {
  ReportedProgress progress;
  Fields fields(node);
  fields.required("fraction", progress.fraction, read_fraction);
  fields.optional("message", progress.message, text(kMaxReportMessageBytes));
  TRY(fields.finish());
  return progress;
}

Result<ReportedError> read_error(const Node& node) {
  ReportedError error;
  Fields fields(node);
  fields.required("kind", error.kind, text(kMaxErrorKindBytes));
  fields.required("message", error.message, text(kMaxReportMessageBytes));
  fields.optional("traceback", error.traceback, text(kMaxTracebackBytes));
  TRY(fields.finish());
  return error;
}

Result<ReportedArtifact> read_artifact(const Node& node) {
  ReportedArtifact artifact;
  Fields fields(node);
  fields.required("name", artifact.name, read_artifact_name);
  fields.optional("media_type", artifact.media_type, text(kMaxNameBytes * 2));
  TRY(fields.finish());
  return artifact;
}

Result<Json> read_any(const Node& node) { return node.value(); }

// One line without its `type`, which has been read.
Result<> apply(std::string_view type, const Json& body, RunReport& report) {
  const Node node(body);
  if (type == "progress") {
    report.progress = TRY(read_progress(node));
  } else if (type == "error") {
    report.error = TRY(read_error(node));
  } else if (type == "result") {
    Json value;
    Fields fields(node);
    fields.required("value", value, read_any);
    TRY(fields.finish());
    report.result = std::move(value);
  } else if (type == "artifact") {
    ReportedArtifact artifact = TRY(read_artifact(node));
    const auto there = std::ranges::find(report.artifacts, artifact.name, &ReportedArtifact::name);
    if (there != report.artifacts.end()) {
      *there = std::move(artifact);
    } else if (report.artifacts.size() < kMaxReportedArtifacts) {
      report.artifacts.push_back(std::move(artifact));
    } else {
      return Error{Errc::exhausted, fmt::format("more than {} artifacts", kMaxReportedArtifacts)};
    }
  } else {
    return Error{Errc::invalid, "type: expected progress, result, error or artifact"};
  }
  return ok();
}

Result<> apply_line(std::string_view text, RunReport& report) {
  Json json = TRY(parse_json(text, kLine));
  JsonObject* object = json.if_object();
  if (object == nullptr) return Error{Errc::invalid, "expected an object"};
  const Json* type = object->if_contains("type");
  if (type == nullptr || !type->is_string()) return Error{Errc::invalid, "type: a text is missing"};
  const std::string name(type->as_string());
  object->erase("type");
  return apply(name, json, report);
}

}  // namespace

bool RunReport::empty() const { return *this == RunReport{}; }

void ReportReader::refuse(std::string why) {
  if (report_.refused++ == 0) report_.first_refusal = why.substr(0, kMaxReportMessageBytes);
}

void ReportReader::line(std::string_view text) {
  if (text.empty()) return;
  if (auto applied = apply_line(text, report_); !applied) refuse(applied.error().message);
}

void ReportReader::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (!too_long_ && begun_.size() + piece.size() > kMaxReportLineBytes) {
      too_long_ = true;
      begun_.clear();
      refuse(fmt::format("a line of more than {} bytes", kMaxReportLineBytes));
    }
    if (!too_long_) begun_ += piece;
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    if (!too_long_) line(begun_);
    begun_.clear();
    too_long_ = false;
  }
}

void ReportReader::finish() {
  if (!begun_.empty()) refuse("the last line has no end");
  begun_.clear();
}

Json to_json(const RunReport& report) {
  JsonObject object;
  if (report.result) object["result"] = *report.result;
  if (report.error) {
    object["error"] = JsonObject{{"kind", report.error->kind},
                                 {"message", report.error->message},
                                 {"traceback", report.error->traceback}};
  }
  if (report.progress) {
    object["progress"] = JsonObject{{"fraction", report.progress->fraction},
                                    {"message", report.progress->message}};
  }
  JsonArray artifacts;
  for (const ReportedArtifact& one : report.artifacts)
    artifacts.push_back(JsonObject{{"name", one.name}, {"media_type", one.media_type}});
  if (!artifacts.empty()) object["artifacts"] = std::move(artifacts);
  if (report.refused > 0) {
    object["refused_lines"] = report.refused;
    object["first_refusal"] = report.first_refusal;
  }
  return object;
}

Result<RunReport> run_report_from_json(const Json& json) {
  const Node node(json, Unknown::ignore);
  RunReport report;
  Json result;
  ReportedError error;
  ReportedProgress progress;
  Fields fields(node);
  fields.optional("result", result, read_any);
  fields.optional("error", error, read_error);
  fields.optional("progress", progress, read_progress);
  fields.optional("artifacts", report.artifacts, list_of(read_artifact, kMaxReportedArtifacts));
  fields.optional("refused_lines", report.refused, integer<std::uint64_t>(0, kMaxCount));
  fields.optional("first_refusal", report.first_refusal, text(kMaxReportMessageBytes));
  TRY(fields.finish());
  if (fields.has("result")) report.result = std::move(result);
  if (fields.has("error")) report.error = std::move(error);
  if (fields.has("progress")) report.progress = std::move(progress);
  return report;
}

}  // namespace tare::model
