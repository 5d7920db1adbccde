#include "base/log.h"

#include <unistd.h>

#include <cerrno>

#include <fmt/core.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/time_text.h"

namespace tare {

namespace {

void append_fields(std::string& line, LogFields fields) {
  for (const LogField& field : fields) {
    line += ',';
    append_json_string(line, field.key, kMaxLogTextBytes);
    line += ':';
    field.value.append_to(line);
  }
}

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "error";
}

void FdLogSink::write(std::string_view line) {
  while (!line.empty()) {
    const ssize_t n = ::write(fd_, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // the log's own trouble must not become the caller's
    line.remove_prefix(static_cast<std::size_t>(n));
  }
}

void LogValue::append_to(std::string& line) const {
  if (const auto* text = std::get_if<std::string_view>(&value_)) {
    append_json_string(line, *text, kMaxLogTextBytes);
  } else if (const auto* number = std::get_if<std::int64_t>(&value_)) {
    line += fmt::format("{}", *number);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value_)) {
    line += fmt::format("{}", *natural);
  } else {
    line += *std::get_if<bool>(&value_) ? "true" : "false";
  }
}

void Logger::log(LogLevel level, std::string_view message, std::string_view extra,
                 LogFields fields) const {
  if (level < least_) return;
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","message":)",
                                 format_utc(clock_->wall_ms()), to_string(level));
  append_json_string(line, message, kMaxLogTextBytes);
  line += context_;
  append_fields(line, fields);
  line += extra;
  line += "}\n";
  sink_->write(line);
}

void Logger::debug(std::string_view message, LogFields fields) const {
  log(LogLevel::debug, message, {}, fields);
}
void Logger::info(std::string_view message, LogFields fields) const {
  log(LogLevel::info, message, {}, fields);
}
void Logger::warning(std::string_view message, LogFields fields) const {
  log(LogLevel::warning, message, {}, fields);
}
void Logger::error(std::string_view message, LogFields fields) const {
  log(LogLevel::error, message, {}, fields);
}
void Logger::error(std::string_view message, const Error& why, LogFields fields) const {
  std::string extra;
  append_fields(extra, {{"code", to_string(why.code)}, {"error", why.message}});
  log(LogLevel::error, message, extra, fields);
}

Logger Logger::with(LogFields fields) const {
  Logger child = *this;
  append_fields(child.context_, fields);
  return child;
}

}  // namespace tare
