// SIGKILL of the real tare-store, its jobs and unpackers, at random moments spread over a whole
// import.
#include <gmock/gmock.h>

#include "base/random.h"
#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

using test::as_file;
using test::kLimits;
using test::small_tar;

constexpr int kKillFiles = 100;
constexpr int kKills = 15;

class StoreKillTest : public test::RunningStore {
 protected:
  // How long one import of this size takes here: kills are spread over all of it.
  std::uint64_t import_ms() {
    const RealClock clock;
    const std::uint64_t begin_us = clock.monotonic_us();
    StoreClient c = client();
    CHECK(import(c, small_tar(kKillFiles, "timed")).ok());
    return (clock.monotonic_us() - begin_us) / 1000 + 1;
  }
};

TEST_F(StoreKillTest, a_store_killed_at_any_moment_of_an_import_leaves_whole_layers_only) {
  SeededRandom random(11);
  const std::uint64_t range_ms = import_ms() * 5 / 4;
  for (int round = 0; round < kKills; ++round) {
    StoreClient c = client();
    const sys::UniqueFd archive = as_file(small_tar(kKillFiles, "round " + std::to_string(round)));
    const int fds[] = {archive.get()};
    ASSERT_TRUE(c.send(ImportTar{kLimits, 60'000}, fds).ok());
    (void)::poll(nullptr, 0, static_cast<int>(random.below(range_ms)));
    kill_store();
    start();  // waits for the lock: the killed store's jobs are gone before it sweeps
    EXPECT_TRUE(staged().empty()) << "round " << round;
  }
  expect_only_whole_layers();
}

TEST_F(StoreKillTest, a_killed_job_or_unpacker_is_an_error_to_its_client_and_to_nobody_else) {
  SeededRandom random(12);
  const std::uint64_t range_ms = import_ms() * 5 / 4;
  for (int round = 0; round < kKills; ++round) {
    StoreClient c = client();
    const sys::UniqueFd archive = as_file(small_tar(kKillFiles, "kill " + std::to_string(round)));
    const int fds[] = {archive.get()};
    ASSERT_TRUE(c.send(ImportTar{kLimits, 60'000}, fds).ok());
    (void)::poll(nullptr, 0, static_cast<int>(random.below(range_ms)));
    const auto pids = test::descendants(store_.pid());
    if (!pids.empty()) (void)::kill(pids[random.below(pids.size())], SIGKILL);
    const auto reply = c.finish(nullptr);  // an answer, whichever
    if (!reply) {
      EXPECT_THAT(reply.error().message, testing::HasSubstr("signal 9"));
    }
  }
  EXPECT_TRUE(test::eventually([&] { return staged().empty(); }));
  expect_only_whole_layers();
}

}  // namespace
}  // namespace tare::snapshot
