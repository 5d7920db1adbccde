// A process that pumps is killed with SIGKILL at any instant: what has left the pipe is in the
// file, byte for byte, and the next one goes on from there.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/random.h"
#include "runs/test_output.h"
#include "sys/fork.h"

namespace tare::runs {
namespace {

constexpr int kRounds = 12;

// Runs in the child until it is killed.
[[noreturn]] void pump_for_ever(LogBench& bench) {
  RealClock clock;
  auto log = OutputLog::open(sys::kCwd, bench.folder().path(), bench.options(), clock);
  if (!log) ::_exit(1);
  while (true) {
    struct pollfd ready[] = {{bench.pipe(Stream::out).read.get(), POLLIN, 0},
                             {bench.pipe(Stream::err).read.get(), POLLIN, 0}};
    ::poll(ready, 2, 50);
    for (const Stream stream : kStreams) {
      if (!(*log)->pump(stream, bench.pipe(stream).read.get())) ::_exit(2);
    }
  }
}

class Writer {
 public:
  Writer(LogBench& bench, Random& random) : bench_(bench), random_(random) {
    for (const Stream stream : kStreams) {
      CHECK(sys::set_nonblocking(bench.pipe(stream).write.get(), true).ok());
    }
  }
  // One write of a random size to a random stream; a full pipe takes less, or nothing.
  void write_some() {
    const Stream stream = random_.below(3) == 0 ? Stream::err : Stream::out;
    const std::size_t size = random_.below(2) == 0 ? 1 + random_.below(100)
                                                   : 1 + random_.below(40'000);
    const std::string text = pattern(stream, written[stream], size);
    const ssize_t n = ::write(bench_.pipe(stream).write.get(), text.data(), text.size());
    CHECK(n > 0 || errno == EAGAIN);
    if (n > 0) written[stream] += static_cast<std::uint64_t>(n);
  }
  Offsets written;

 private:
  LogBench& bench_;
  Random& random_;
};

void expect_whole(LogBench& bench, const Writer& writer) {
  bench.reopen();
  for (const Stream stream : kStreams) {
    int in_pipe = 0;
    ASSERT_EQ(::ioctl(bench.pipe(stream).read.get(), FIONREAD, &in_pipe), 0);
    ASSERT_EQ(bench.log().lengths()[stream] + static_cast<std::uint64_t>(in_pipe),
              writer.written[stream]);
  }
  auto reader = bench.reader();
  std::vector<std::byte> buffer(60'000);
  Offsets at;
  while (true) {
    const auto piece = reader.next(buffer);
    ASSERT_TRUE(piece.ok()) << piece.error().message;
    if (piece->caught_up()) break;
    at[piece->stream] += piece->skipped;
    ASSERT_EQ(at[piece->stream], piece->offset);
    ASSERT_TRUE(is_pattern(piece->stream, piece->offset,
                           {reinterpret_cast<char*>(buffer.data()), piece->bytes}));
    at[piece->stream] += piece->bytes;
  }
  ASSERT_EQ(at, bench.log().lengths());
  if (!bench.log().cut()) {
    ASSERT_EQ(bench.log().frames().framed(), bench.log().lengths());
  }
}

void run_rounds(const OutputLogOptions& options, std::uint64_t seed) {
  LogBench bench(options);
  SeededRandom random(seed);
  Writer writer(bench, random);
  // On a busy machine many die before they have pumped anything: more of them then.
  const auto pumped = [&] { return bench.log().lengths().sum() > 0; };
  for (int round = 0; round < kRounds || (!pumped() && round < 100 * kRounds); ++round) {
    auto child = sys::fork_child();
    ASSERT_TRUE(child.ok()) << child.error().message;
    if (!child->valid()) pump_for_ever(bench);
    const std::uint64_t writes = random.below(200);
    for (std::uint64_t i = 0; i < writes; ++i) writer.write_some();
    if (random.below(2) == 0) ::usleep(static_cast<unsigned>(random.below(2000)));
    ASSERT_TRUE(child->signal(SIGKILL).ok());
    const auto status = child->wait(nullptr);
    ASSERT_TRUE(status.ok());
    ASSERT_TRUE(status->signalled) << "the child gave up by itself: " << status->code;
    ASSERT_NO_FATAL_FAILURE(expect_whole(bench, writer)) << "round " << round;
  }
  EXPECT_TRUE(pumped());
}

TEST(OutputLogCrash, nothing_is_lost_when_the_pumping_process_is_killed) {
  ASSERT_NO_FATAL_FAILURE(run_rounds({.kept_bytes = std::uint64_t{1} << 40}, 1));
}

TEST(OutputLogCrash, nor_when_it_is_killed_around_the_cut_and_while_holes_are_made) {
  for (std::uint64_t seed = 2; seed < 5; ++seed) {
    ASSERT_NO_FATAL_FAILURE(
        run_rounds({.kept_bytes = 1'000'003, .window_bytes = 256 * 1024}, seed));
  }
}

}  // namespace
}  // namespace tare::runs
