#include "host/blob_sweep.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "fiber/loop.h"
#include "fiber/task_group.h"
#include "fiber/timer.h"
#include "sql/test_folder.h"
#include "sys/files.h"

namespace tare::host {
namespace {

constexpr std::uint64_t kNowMs = 1'700'000'000'000;

Result<std::string> put_old(runs::Blobs& blobs, const sql::TestFolder& folder,
                            std::string_view text) {
  auto writer = TRY(blobs.create("", 100));
  TRY(writer.write(text));
  const std::string digest = TRY(writer.finish()).digest;
  const std::string path = folder.path("blobs/" + digest.substr(7, 2) + "/" + digest.substr(7));
  const auto seconds = static_cast<time_t>((kNowMs - kUnusedBlobMs) / 1000);
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  return digest;
}

TEST(BlobSweep, an_old_upload_goes_at_a_later_turn_unless_a_run_that_has_not_ended_uses_it) {
  const sql::TestFolder folder;
  SystemRandom random;
  ManualClock clock(kNowMs);
  FdLogSink sink(STDERR_FILENO);
  const Logger log(sink, clock);
  fiber::Offload offload(1, 16);
  auto blobs = std::move(runs::Blobs::open(sys::kCwd, folder.path("blobs"), random)).value();
  const auto done = fiber::run_fiber([&](const fiber::Context& ctx) -> Result<> {
    const std::string used = TRY(put_old(blobs, folder, "used"));
    const std::string unused = TRY(put_old(blobs, folder, "unused"));
    int turns = 0;
    const BlobSweep sweep{blobs,
                          [&] {
                            ++turns;
                            return Digests{used};
                          },
                          offload,
                          clock,
                          log,
                          std::chrono::milliseconds(1)};
    fiber::TaskGroup group(ctx);
    group.spawn([&](const fiber::Context& task) { sweep_blobs(sweep, task); });
    while (turns < 2) TRY(fiber::sleep_for(std::chrono::milliseconds(1), ctx));
    EXPECT_TRUE(blobs.find(unused).ok()) << "not old enough";
    clock.advance_ms(1);
    for (const int before = turns; turns < before + 3;)
      TRY(fiber::sleep_for(std::chrono::milliseconds(1), ctx));
    EXPECT_EQ(blobs.find(unused).error().code, Errc::not_found);
    EXPECT_TRUE(blobs.find(used).ok());
    group.cancel();
    return ok();
  });
  EXPECT_TRUE(done.ok()) << done.error().message;
}

}  // namespace
}  // namespace tare::host
