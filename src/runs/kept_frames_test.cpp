#include "runs/kept_frames.h"

#include <fcntl.h>
#include <unistd.h>

#include <limits>

#include "base/random.h"
#include "sql/test_folder.h"
#include "sys/files.h"

namespace tare::runs {
namespace {

using ::testing::ElementsAre;

constexpr Offsets kPlenty{1'000'000, 1'000'000};

class FrameFile : public ::testing::Test {
 protected:
  KeptFrames open(const Offsets& lengths = kPlenty) {
    auto file = sys::open_at(sys::kCwd, path(), O_RDWR | O_CREAT, 0600);
    auto frames = KeptFrames::open(std::move(file).value(), lengths, 5000);
    EXPECT_TRUE(frames.ok()) << frames.error().message;
    return std::move(frames).value();
  }
  static std::vector<KeptFrame> all(const KeptFrames& frames) {
    std::vector<KeptFrame> found(frames.count() + 1);
    const auto read = frames.read(0, found);
    EXPECT_TRUE(read.ok());
    found.resize(read.ok() ? *read : 0);
    return found;
  }
  std::string path() const { return folder_.path("frames.log"); }
  std::string content() const {
    return std::move(sys::read_file_at(sys::kCwd, path(), 8 << 20)).value();
  }
  void put(std::string_view text) const {
    const auto file = sys::open_at(sys::kCwd, path(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(file.ok() && sys::write_all(file->get(), text).ok());
  }
  sql::TestFolder folder_;
};

TEST_F(FrameFile, holds_the_order_and_the_time_since_the_start) {
  KeptFrames frames = open();
  ASSERT_TRUE(frames.add(Stream::out, 10, 5000).ok());
  ASSERT_TRUE(frames.add(Stream::err, 3, 5001).ok());
  ASSERT_TRUE(frames.add(Stream::out, 7, 9000).ok());
  const auto expected = ElementsAre(KeptFrame{Stream::out, 10, 0}, KeptFrame{Stream::err, 3, 1},
                                    KeptFrame{Stream::out, 7, 4000});
  EXPECT_THAT(all(frames), expected);
  const KeptFrames again = open();
  EXPECT_THAT(all(again), expected);
  EXPECT_EQ(again.framed(), (Offsets{17, 3}));
  EXPECT_EQ(again.start_ms(), 5000U);
}

TEST_F(FrameFile, bytes_of_one_stream_in_quick_succession_share_a_record) {
  KeptFrames frames = open();
  for (std::uint64_t i = 0; i < 9; ++i) ASSERT_TRUE(frames.add(Stream::out, 1, 5000 + i).ok());
  ASSERT_TRUE(frames.add(Stream::out, 1, 5000 + KeptFrames::kCoalesceMs).ok());
  EXPECT_THAT(all(frames), ElementsAre(KeptFrame{Stream::out, 9, 0},
                                       KeptFrame{Stream::out, 1, KeptFrames::kCoalesceMs}));
}

TEST_F(FrameFile, a_clock_that_goes_back_does_not_take_time_back) {
  KeptFrames frames = open();
  ASSERT_TRUE(frames.add(Stream::out, 1, 5500).ok());
  ASSERT_TRUE(frames.add(Stream::err, 1, 100).ok());
  EXPECT_THAT(all(open()),
              ElementsAre(KeptFrame{Stream::out, 1, 500}, KeptFrame{Stream::err, 1, 500}));
}

TEST_F(FrameFile, a_writer_of_single_bytes_cannot_make_it_large) {
  KeptFrames frames = open();
  constexpr std::uint64_t kBytes = 150'000;
  for (std::uint64_t i = 0; i < kBytes; ++i) {
    ASSERT_TRUE(frames.add(i % 2 == 0 ? Stream::out : Stream::err, 1, 5000 + i * 50).ok());
  }
  const std::uint64_t bound = KeptFrames::kFreeFrames + kBytes / KeptFrames::kBytesPerFrame + 2;
  EXPECT_LE(frames.count(), bound);
  EXPECT_EQ(content().size(), (frames.count() + 1) * KeptFrames::kRecordBytes);
  EXPECT_EQ(open().framed(), (Offsets{kBytes / 2, kBytes / 2}));
}

TEST_F(FrameFile, more_bytes_than_a_record_can_say_take_two) {
  KeptFrames frames = open({std::uint64_t{1} << 40, 0});
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  ASSERT_TRUE(frames.add(Stream::out, kMost + 5, 5000).ok());
  ASSERT_TRUE(frames.add(Stream::out, kMost - 1, 5000).ok());
  EXPECT_EQ(frames.framed().out, 2 * kMost + 4);
  EXPECT_EQ(open({std::uint64_t{1} << 40, 0}).framed().out, 2 * kMost + 4);
}

TEST_F(FrameFile, the_cut_and_the_window_are_found_again) {
  {
    KeptFrames frames = open();
    ASSERT_TRUE(frames.add(Stream::out, 100, 5000).ok());
    ASSERT_TRUE(frames.mark_cut().ok());
    ASSERT_TRUE(frames.move_window(Stream::err, 77).ok());
  }
  const KeptFrames again = open();
  EXPECT_TRUE(again.cut());
  EXPECT_EQ(again.framed(), (Offsets{100, 0}));
  EXPECT_EQ(again.window(), (Offsets{100, 77}));
}

TEST_F(FrameFile, records_of_bytes_that_are_not_there_are_dropped) {
  {
    KeptFrames frames = open();
    ASSERT_TRUE(frames.add(Stream::out, 100, 5000).ok());
    ASSERT_TRUE(frames.add(Stream::err, 100, 5000).ok());
    ASSERT_TRUE(frames.add(Stream::out, 100, 5000).ok());
    ASSERT_TRUE(frames.mark_cut().ok());
  }
  const KeptFrames again = open({150, 100});
  EXPECT_EQ(again.framed(), (Offsets{100, 100}));
  EXPECT_FALSE(again.cut());
  EXPECT_EQ(content().size(), 3 * KeptFrames::kRecordBytes);
}

// Whatever the file holds: no crash, nothing that the streams' lengths do not allow, and writing
// goes on.
TEST_F(FrameFile, any_damage_is_cut_off) {
  {
    KeptFrames frames = open();
    for (std::uint64_t i = 0; i < 20; ++i) {
      ASSERT_TRUE(frames.add(i % 3 == 0 ? Stream::err : Stream::out, 1 + i, 5000 + i * 100).ok());
    }
    ASSERT_TRUE(frames.mark_cut().ok());
  }
  const std::string good = content();
  SeededRandom random(11);
  for (int round = 0; round < 2000; ++round) {
    std::string bad = good;
    const std::uint64_t flips = random.below(4);
    for (std::uint64_t i = 0; i < flips; ++i) {
      bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    }
    bad.resize(random.below(2) == 0 ? bad.size() : random.below(bad.size() + 1));
    if (random.below(8) == 0) bad += std::string(random.below(40), '\x02');
    put(bad);
    const Offsets lengths{random.below(300), random.below(300)};
    KeptFrames frames = open(lengths);
    ASSERT_LE(frames.framed().out, lengths.out);
    ASSERT_LE(frames.framed().err, lengths.err);
    Offsets sum;
    for (const KeptFrame& frame : all(frames)) sum[frame.stream] += frame.length;
    ASSERT_EQ(sum, frames.framed());
    if (!frames.cut()) {
      ASSERT_TRUE(frames.add(Stream::out, 1, 6000).ok());
      ASSERT_EQ(open({lengths.out + 1, lengths.err}).framed(), frames.framed());
    }
  }
}

}  // namespace
}  // namespace tare::runs
