#include "runs/output_log.h"

#include <unistd.h>

#include <thread>

#include "runs/test_output.h"

namespace tare::runs {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

OutputLogOptions small(std::uint64_t kept, std::uint64_t window) {
  return {.kept_bytes = kept, .window_bytes = window, .wait_for_reader = false};
}

TEST(OutputLog, keeps_bytes_exactly_and_in_the_order_they_came) {
  LogBench bench;
  std::string all_bytes;
  for (int i = 0; i < 256; ++i) all_bytes += static_cast<char>(i);
  bench.feed(Stream::out, "one\n");
  bench.feed(Stream::err, all_bytes);
  bench.feed(Stream::out, std::string("\0\0two", 5));
  const ReadBack all = bench.read_back();
  EXPECT_EQ(all.out, std::string("one\n\0\0two", 9));
  EXPECT_EQ(all.err, all_bytes);
  EXPECT_EQ(all.order, "oeo");
  EXPECT_EQ(bench.log().lengths(), (Offsets{9, 256}));
  EXPECT_FALSE(bench.log().cut().has_value());
}

TEST(OutputLog, tells_an_empty_pipe_from_one_at_its_end) {
  LogBench bench;
  EXPECT_EQ(bench.log().pump(Stream::out, bench.pipe(Stream::out).read.get())->state,
            PumpState::drained);
  ASSERT_TRUE(sys::write_all(bench.pipe(Stream::out).write.get(), "last").ok());
  bench.pipe(Stream::out).write.reset();
  const auto pumped = bench.log().pump(Stream::out, bench.pipe(Stream::out).read.get());
  EXPECT_EQ(pumped->bytes, 4U);
  EXPECT_EQ(pumped->state, PumpState::ended);
}

TEST(OutputLog, goes_on_where_it_was_when_opened_again) {
  LogBench bench;
  bench.feed(Stream::out, "before ");
  bench.reopen();
  bench.feed(Stream::out, "after");
  EXPECT_EQ(bench.read_back().out, "before after");
}

TEST(OutputLog, the_cut_is_exact_over_both_streams_together) {
  LogBench bench(small(100'000, kMiB));
  bench.feed(Stream::err, pattern(Stream::err, 0, 40'000));
  bench.feed(Stream::out, pattern(Stream::out, 0, 60'000));
  EXPECT_FALSE(bench.log().cut().has_value()) << "exactly full is not cut";
  bench.feed(Stream::out, "x");
  EXPECT_EQ(bench.log().cut(), (Offsets{60'000, 40'000}));
  bench.reopen();
  EXPECT_EQ(bench.log().cut(), (Offsets{60'000, 40'000}));
  EXPECT_EQ(bench.log().lengths(), (Offsets{60'001, 40'000}));
}

TEST(OutputLog, a_cut_inside_one_piece_keeps_the_bytes_before_it) {
  LogBench bench(small(10'001, kMiB));
  bench.feed(Stream::out, pattern(Stream::out, 0, 50'000));
  EXPECT_EQ(bench.log().cut(), (Offsets{10'001, 0}));
  EXPECT_EQ(bench.read_back().out, pattern(Stream::out, 0, 50'000)) << "the window has the rest";
}

TEST(OutputLog, the_limit_is_exact_over_both_streams_and_the_rest_stays_in_the_pipe) {
  LogBench bench;
  bench.log().set_limit(10'000);
  bench.feed(Stream::err, pattern(Stream::err, 0, 4000));
  bench.feed(Stream::out, pattern(Stream::out, 0, 6000));
  const int out = bench.pipe(Stream::out).read.get();
  EXPECT_EQ(bench.log().pump(Stream::out, out)->state, PumpState::drained) << "full is allowed";
  ASSERT_TRUE(sys::write_all(bench.pipe(Stream::out).write.get(), "x").ok());
  const auto refused = bench.log().pump(Stream::out, out);
  EXPECT_EQ(refused->state, PumpState::refused);
  EXPECT_EQ(refused->bytes, 0U);
  EXPECT_EQ(bench.log().lengths(), (Offsets{6000, 4000}));
  char left = 0;
  EXPECT_EQ(::read(out, &left, 1), 1);
  bench.pipe(Stream::out).write.reset();
  EXPECT_EQ(bench.log().pump(Stream::out, out)->state, PumpState::ended);
}

TEST(OutputLog, a_limit_inside_one_piece_takes_the_bytes_before_it) {
  for (const std::uint64_t limit : {1U, 4095U, 4096U, 4097U, 30'000U}) {
    LogBench bench(small(5000, kMiB));
    bench.log().set_limit(limit);
    ASSERT_TRUE(
        sys::write_all(bench.pipe(Stream::out).write.get(), pattern(Stream::out, 0, 30'001)).ok());
    const auto pumped = bench.log().pump(Stream::out, bench.pipe(Stream::out).read.get());
    EXPECT_EQ(pumped->state, PumpState::refused) << limit;
    EXPECT_EQ(pumped->bytes, limit);
    EXPECT_EQ(bench.read_back().out, pattern(Stream::out, 0, limit));
  }
}

TEST(OutputLog, beyond_the_cut_only_a_window_stays_and_the_gap_is_named) {
  LogBench bench(small(kMiB, kMiB));
  constexpr std::uint64_t kTotal = 20 * kMiB;
  for (std::uint64_t at = 0; at < kTotal; at += kMiB) {
    bench.feed(Stream::out, pattern(Stream::out, at, kMiB));
  }
  const Extent there = bench.log().extent(Stream::out);
  EXPECT_EQ(there.kept, kMiB);
  EXPECT_EQ(there.length, kTotal);
  EXPECT_GE(there.window, kTotal - kMiB);
  const ReadBack all = bench.read_back();
  EXPECT_EQ(all.skipped.out, there.window - kMiB);
  EXPECT_TRUE(is_pattern(Stream::out, 0, std::string_view(all.out).substr(0, kMiB)));
  EXPECT_TRUE(is_pattern(Stream::out, there.window, std::string_view(all.out).substr(kMiB)));
  EXPECT_EQ(all.out.size(), kMiB + (kTotal - there.window));
  std::byte byte{};
  const auto dropped = bench.log().read_at(Stream::out, there.window - 1, std::span(&byte, 1));
  ASSERT_FALSE(dropped.ok());
  EXPECT_EQ(dropped.error().code, Errc::exhausted);
  EXPECT_LE(bench.disk_bytes(), 4 * kMiB);

  const Extent before = there;
  bench.reopen();
  EXPECT_EQ(bench.log().extent(Stream::out), before);
  EXPECT_EQ(bench.read_back().out, all.out);
}

TEST(OutputLog, an_attached_reader_is_waited_for_and_misses_nothing) {
  LogBench bench(small(100'000, 256 * 1024));
  auto reader = bench.reader({}, LogReader::Role::attached);
  std::uint64_t written = 0, seen = 0;
  bool was_blocked = false;
  std::vector<std::byte> buffer(50'000);
  constexpr std::uint64_t kTotal = 8 * kMiB;
  while (seen < kTotal) {
    while (written < kTotal) {
      const std::string text = pattern(Stream::out, written, 32'768);
      ASSERT_TRUE(sys::write_all(bench.pipe(Stream::out).write.get(), text).ok());
      written += text.size();
      bench.drain(Stream::out);
      if (bench.log().may_read() == 0) break;
    }
    was_blocked = was_blocked || bench.log().may_read() == 0;
    for (int turn = 0; turn < 3; ++turn) {
      const auto piece = reader.next(buffer);
      ASSERT_TRUE(piece.ok()) << piece.error().message;
      ASSERT_EQ(piece->skipped, 0U);
      ASSERT_TRUE(
          is_pattern(Stream::out, seen, {reinterpret_cast<char*>(buffer.data()), piece->bytes}));
      seen += piece->bytes;
    }
    bench.drain(Stream::out);
    ASSERT_LE(bench.disk_bytes(), 2 * kMiB);
  }
  EXPECT_TRUE(was_blocked);
}

TEST(OutputLog, a_piece_that_an_attached_reader_died_with_is_there_for_the_next) {
  OutputLogOptions options = small(64 * 1024, kMiB);
  options.wait_for_reader = true;
  LogBench bench(options);
  bench.feed(Stream::out, pattern(Stream::out, 0, kMiB));
  std::vector<std::byte> buffer(kMiB);
  {
    auto reader = bench.reader({}, LogReader::Role::attached);
    EXPECT_EQ(reader.next(buffer)->bytes, 64U * 1024);
    EXPECT_EQ(reader.next(buffer)->bytes, kMiB - 64 * 1024);
  }
  bench.reopen();
  auto reader = bench.reader({64 * 1024, 0}, LogReader::Role::attached);
  const auto piece = reader.next(buffer);
  EXPECT_EQ(piece->skipped, 0U);
  EXPECT_TRUE(
      is_pattern(Stream::out, 64 * 1024, {reinterpret_cast<char*>(buffer.data()), piece->bytes}));
  EXPECT_EQ(piece->bytes, kMiB - 64 * 1024);
  EXPECT_TRUE(reader.next(buffer)->caught_up());
  EXPECT_GE(bench.log().extent(Stream::out).window, kMiB - 128 * 1024) << "read: it may go";
}

TEST(OutputLog, a_run_that_waits_for_its_reader_stops_until_one_attaches) {
  OutputLogOptions options = small(50'000, 128 * 1024);
  options.wait_for_reader = true;
  LogBench bench(options);
  constexpr std::uint64_t kPiece = 32'768, kFits = 50'000 + 128 * 1024;
  std::uint64_t written = 0;
  for (; written < 6 * kPiece; written += kPiece) {
    ASSERT_TRUE(
        sys::write_all(bench.pipe(Stream::out).write.get(), pattern(Stream::out, written, kPiece))
            .ok());
    bench.drain(Stream::out);
  }
  EXPECT_EQ(bench.log().may_read(), 0U);
  EXPECT_EQ(bench.log().lengths().out, kFits);
  {
    auto reader = bench.reader({}, LogReader::Role::attached);
    EXPECT_EQ(read_all(reader).out, pattern(Stream::out, 0, kFits));
    bench.drain(Stream::out);
    EXPECT_EQ(read_all(reader).out, pattern(Stream::out, kFits, written - kFits));
  }
  bench.log().wait_for_reader(false);
  EXPECT_GT(bench.log().may_read(), 0U);
}

TEST(OutputLog, a_new_attached_reader_takes_over_from_the_one_before) {
  LogBench bench;
  bench.feed(Stream::out, "text");
  auto first = bench.reader({}, LogReader::Role::attached);
  auto second = bench.reader({}, LogReader::Role::attached);
  std::byte buffer[16];
  const auto refused = first.next(buffer);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_EQ(second.next(buffer)->bytes, 4U);
}

TEST(OutputLog, a_reader_beyond_the_end_is_refused) {
  LogBench bench;
  bench.feed(Stream::err, "12345");
  EXPECT_TRUE(LogReader::open(bench.log(), {0, 5}, LogReader::Role::follower).ok());
  const auto refused = LogReader::open(bench.log(), {0, 6}, LogReader::Role::follower);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::invalid);
}

TEST(OutputLog, a_follower_sees_each_byte_once_while_the_output_grows) {
  LogBench bench;
  auto reader = bench.reader();
  ReadBack seen;
  std::string out, err;
  SeededRandom random(7);
  for (int i = 0; i < 2000; ++i) {
    const Stream stream = random.below(2) == 0 ? Stream::out : Stream::err;
    std::string& sent = stream == Stream::out ? out : err;
    const std::string text = pattern(stream, sent.size(), 1 + random.below(40));
    sent += text;
    bench.feed(stream, text);
    bench.clock().advance_ms(random.below(20));
    if (random.below(3) == 0) {
      const ReadBack more = read_all(reader, 1 + random.below(64));
      seen.out += more.out;
      seen.err += more.err;
    }
  }
  const ReadBack rest = read_all(reader);
  EXPECT_EQ(seen.out + rest.out, out);
  EXPECT_EQ(seen.err + rest.err, err);
  EXPECT_EQ(bench.read_back().out, out);
  auto late = bench.reader({out.size() - 5, err.size() / 2});
  const ReadBack part = read_all(late);
  EXPECT_EQ(part.out, out.substr(out.size() - 5));
  EXPECT_EQ(part.err, err.substr(err.size() / 2));
}

TEST(OutputLog, a_gibibyte_passes_while_the_disk_use_stays_bounded) {
  constexpr std::uint64_t kTotal = std::uint64_t{1} << 30;
  OutputLogOptions options;
  LogBench bench(options);
  std::thread writer([&bench] {
    const std::string block = pattern(Stream::out, 0, kMiB);
    for (std::uint64_t at = 0; at < kTotal; at += kMiB) {
      CHECK(sys::write_all(bench.pipe(Stream::out).write.get(), block).ok());
    }
    bench.pipe(Stream::out).write.reset();
  });
  CHECK(sys::set_nonblocking(bench.pipe(Stream::out).read.get(), true).ok());
  std::uint64_t most = 0, checked = 0;
  while (true) {
    const auto pumped = bench.log().pump(Stream::out, bench.pipe(Stream::out).read.get());
    ASSERT_TRUE(pumped.ok()) << pumped.error().message;
    if (pumped->state == PumpState::ended) break;
    if (pumped->bytes == 0) std::this_thread::yield();
    if (bench.log().lengths().out - checked >= 16 * kMiB) {
      checked = bench.log().lengths().out;
      most = std::max(most, bench.disk_bytes());
    }
  }
  writer.join();
  EXPECT_EQ(bench.log().lengths().out, kTotal);
  EXPECT_LE(most, options.kept_bytes + options.window_bytes + 3 * kMiB);
  EXPECT_GE(bench.log().extent(Stream::out).kept, options.kept_bytes);
}

}  // namespace
}  // namespace tare::runs
