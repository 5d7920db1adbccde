// What the tests of the kept output share: bytes that tell where they are from, a pipe to pump,
// reading everything back. For tests only.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "runs/log_reader.h"
#include "runs/output_log.h"
#include "sql/test_folder.h"
#include "sys/files.h"

namespace tare::runs {

// The byte at `offset` of a stream: no two nearby ranges look alike, and NUL and newline occur.
inline char pattern_byte(Stream stream, std::uint64_t offset) {
  const std::uint64_t mixed = (offset ^ (offset >> 13)) * 0x9E3779B97F4A7C15U;
  return static_cast<char>((mixed >> 56) + (stream == Stream::err ? 101 : 0));
}

inline std::string pattern(Stream stream, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = pattern_byte(stream, offset + i);
  return text;
}

// Is `text` what the stream has at `offset`?
inline bool is_pattern(Stream stream, std::uint64_t offset, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != pattern_byte(stream, offset + i)) return false;
  }
  return true;
}

struct ReadBack {
  std::string out, err;
  std::string order;  // one letter for each piece: o, e; x for a gap
  Offsets skipped;
};

// Everything a reader finds, until it has caught up.
inline ReadBack read_all(LogReader& reader, std::size_t buffer_bytes = 4096) {
  ReadBack all;
  std::vector<std::byte> buffer(buffer_bytes);
  while (true) {
    const auto piece = reader.next(buffer);
    EXPECT_TRUE(piece.ok()) << piece.error().message;
    if (!piece.ok() || piece->caught_up()) return all;
    if (piece->skipped > 0) all.order += 'x';
    all.skipped[piece->stream] += piece->skipped;
    if (piece->bytes > 0) all.order += piece->stream == Stream::out ? 'o' : 'e';
    (piece->stream == Stream::out ? all.out : all.err)
        .append(reinterpret_cast<const char*>(buffer.data()), piece->bytes);
  }
}

// A log in a folder of its own, with a non-blocking pipe for each stream.
class LogBench {
 public:
  explicit LogBench(OutputLogOptions options = {}) : options_(options) {
    out_ = std::move(sys::make_pipe()).value();
    err_ = std::move(sys::make_pipe()).value();
    for (const sys::Pipe* pipe : {&out_, &err_}) {
      CHECK(sys::set_nonblocking(pipe->read.get(), true).ok());
    }
    reopen();
  }

  void reopen() {
    log_.reset();
    auto opened = OutputLog::open(sys::kCwd, folder_.path(), options_, clock_);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    log_ = std::move(opened).value();
  }
  // Through the pipe, all of it, however many turns that takes.
  void feed(Stream stream, std::string_view text) {
    while (!text.empty()) {
      const std::string_view piece = text.substr(0, 32'768);
      ASSERT_TRUE(sys::write_all(pipe(stream).write.get(), piece).ok());
      drain(stream);
      text.remove_prefix(piece.size());
    }
  }
  void drain(Stream stream) {
    while (true) {
      const auto pumped = log_->pump(stream, pipe(stream).read.get());
      ASSERT_TRUE(pumped.ok()) << pumped.error().message;
      if (pumped->state != PumpState::more) return;
    }
  }
  LogReader reader(Offsets from = {}, LogReader::Role role = LogReader::Role::follower) {
    return std::move(LogReader::open(*log_, from, role)).value();
  }
  ReadBack read_back() {
    auto all = reader();
    return read_all(all);
  }
  std::uint64_t disk_bytes() const {
    std::uint64_t blocks = 0;
    for (const char* name : {"stdout.log", "stderr.log", "frames.log"}) {
      struct stat status{};
      EXPECT_EQ(::stat(folder_.path(name).c_str(), &status), 0);
      blocks += static_cast<std::uint64_t>(status.st_blocks);
    }
    return blocks * 512;
  }

  sys::Pipe& pipe(Stream stream) { return stream == Stream::out ? out_ : err_; }
  OutputLog& log() { return *log_; }
  ManualClock& clock() { return clock_; }
  const sql::TestFolder& folder() const { return folder_; }
  OutputLogOptions& options() { return options_; }

 private:
  sql::TestFolder folder_;
  OutputLogOptions options_;
  ManualClock clock_{1'000'000};
  sys::Pipe out_, err_;
  std::unique_ptr<OutputLog> log_;
};

}  // namespace tare::runs
