// Logger: one JSON object per line, to a sink that is passed in.
//
//   logger.info("run started", {{"run", id}, {"pid", pid}});
//   {"time":"2026-11-22T06:45:19.123Z","level":"info","message":"run
//   started","run":"run_...","pid":17}
//
// Owner: main makes one; with() makes children that repeat fields. Threads: any (one write per
// line). Never fails and never blocks the caller on an error: a line that cannot be written is
// dropped. Field text is hostile: control characters, quotes and invalid UTF-8 are escaped, length
// is cut at kMaxLogTextBytes.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.h"
#include "base/error.h"

namespace tare {

enum class LogLevel : std::uint8_t { debug, info, warning, error };
std::string_view to_string(LogLevel level);

class LogSink {
 public:
  virtual ~LogSink() = default;
  // `line` ends with a newline and holds no other.
  virtual void write(std::string_view line) = 0;
};

// Borrows the descriptor.
class FdLogSink final : public LogSink {
 public:
  explicit FdLogSink(int fd) : fd_(fd) {}
  void write(std::string_view line) override;

 private:
  int fd_;
};

class LogValue {
 public:
  // Implicit, so that a field reads {"pid", pid}.
  // NOLINTBEGIN(google-explicit-constructor)
  LogValue(std::string_view text) : value_(text) {}
  LogValue(const std::string& text) : value_(std::string_view(text)) {}
  LogValue(const char* text) : value_(std::string_view(text)) {}
  LogValue(bool value) : value_(value) {}
  template <std::signed_integral T>
  LogValue(T value) : value_(std::int64_t{value}) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  LogValue(T value) : value_(std::uint64_t{value}) {}
  // NOLINTEND(google-explicit-constructor)

  void append_to(std::string& line) const;

 private:
  std::variant<std::string_view, std::int64_t, std::uint64_t, bool> value_;
};

// Keys are literals of ours: "run", "pid". The text is borrowed for the length of the call.
struct LogField {
  std::string_view key;
  LogValue value;
};
using LogFields = std::initializer_list<LogField>;

class Logger {
 public:
  Logger(LogSink& sink, const Clock& clock, LogLevel least = LogLevel::info)
      : sink_(&sink), clock_(&clock), least_(least) {}

  void debug(std::string_view message, LogFields fields = {}) const;
  void info(std::string_view message, LogFields fields = {}) const;
  void warning(std::string_view message, LogFields fields = {}) const;
  void error(std::string_view message, LogFields fields = {}) const;
  // Adds the error's kind and message as the fields "code" and "error".
  void error(std::string_view message, const Error& why, LogFields fields = {}) const;

  // A logger that adds these fields to each of its lines.
  Logger with(LogFields fields) const;

 private:
  void log(LogLevel level, std::string_view message, std::string_view extra,
           LogFields fields) const;

  LogSink* sink_;
  const Clock* clock_;
  LogLevel least_;
  std::string context_;  // rendered fields, each starting with a comma
};

}  // namespace tare
