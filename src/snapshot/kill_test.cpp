// SIGKILL of the real tare-store, its jobs, unpackers and sweepers, at random moments spread over
// whole imports and freezes. TARE_KILLS=N: so many kills instead of a few.
#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

#include "base/random.h"
#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

using test::as_file;
using test::kLimits;
using test::small_tar;

constexpr int kKillFiles = 100;

int kills() {
  const char* wanted = std::getenv("TARE_KILLS");
  return wanted == nullptr ? 15 : std::atoi(wanted);
}

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
  // The upper of a sandbox: other content each time.
  sys::UniqueFd upper(int round) {
    (void)sys::remove_tree_at(home_.fd(), "upper");
    sys::UniqueFd fd = home_.folder("upper");
    for (int i = 0; i < kKillFiles; ++i) {
      home_.write(
          "upper/" + std::to_string(i),
          std::string(static_cast<std::size_t>(i) * 997 % 70'000, 'x') + std::to_string(round));
    }
    return fd;
  }
  // Sends the request, kills the store at some moment, and starts it again. The layer, if the store
  // had acknowledged one by then.
  std::optional<LayerInfo> kill_during(const Request& request, std::span<const int> fds,
                                       std::uint64_t pause_ms) {
    StoreClient c = client();
    CHECK(c.send(request, fds).ok());
    (void)::poll(nullptr, 0, static_cast<int>(pause_ms));
    kill_store();
    const auto reply = expect<Imported>(c.finish(nullptr));  // what had come, or the end
    start();  // waits for the lock: the killed store's jobs are gone before it sweeps
    if (!reply) return std::nullopt;
    return reply->layer;
  }

  SeededRandom random_{11};
};

TEST_F(StoreKillTest, what_was_acknowledged_is_there_and_nothing_is_half_whenever_it_is_killed) {
  const std::uint64_t range_ms = import_ms() * 5 / 4;
  std::vector<LayerInfo> acknowledged;
  for (int round = 0; round < kills(); ++round) {
    const std::uint64_t pause_ms = random_.below(range_ms);
    std::optional<LayerInfo> layer;
    if (round % 2 == 0) {
      const sys::UniqueFd archive = as_file(small_tar(kKillFiles, std::to_string(round)));
      const int fds[] = {archive.get(), no_secrets_.get()};
      layer = kill_during(ImportTar{kLimits, 60'000}, fds, pause_ms);
    } else {
      const sys::UniqueFd changed = upper(round), opaque = as_file(""), none = as_file("");
      const int fds[] = {changed.get(), opaque.get(), none.get()};
      layer = kill_during(freeze_of(), fds, pause_ms);
    }
    if (layer) acknowledged.push_back(*layer);
    EXPECT_TRUE(staged().empty()) << "round " << round;
  }
  StoreClient c = client();
  for (const LayerInfo& layer : acknowledged)
    EXPECT_EQ(expect<LayerInfo>(c.call(StatLayer{layer.digest})).value(), layer);
  expect_only_whole_layers();
}

TEST_F(StoreKillTest, a_damaged_layer_that_is_replaced_is_the_old_or_the_new_one_and_never_gone) {
  const std::string archive = small_tar(kKillFiles, "again");
  StoreClient first = client();
  const LayerInfo layer = import(first, archive)->layer;
  const std::string file = "store/layers/" + layer.digest.substr(7) + "/root/d/7";
  const std::uint64_t range_ms = import_ms() * 5 / 4;
  for (int round = 0; round < kills(); ++round) {
    home_.write(file, "damaged " + std::to_string(round));
    const sys::UniqueFd stream = as_file(archive);
    const int fds[] = {stream.get(), no_secrets_.get()};
    const auto told = kill_during(ImportTar{kLimits, 60'000}, fds, random_.below(range_ms));
    EXPECT_TRUE(staged().empty()) << "round " << round;
    StoreClient c = client();
    EXPECT_EQ(expect<LayerInfo>(c.call(StatLayer{layer.digest})).value(), layer);
    const auto verified = expect<Verified>(c.call(VerifyLayer{layer.digest}));
    ASSERT_TRUE(verified.ok());
    EXPECT_TRUE(verified->intact || !told) << verified->difference;
    if (!verified->intact) {
      EXPECT_EQ(home_.read(file), "damaged " + std::to_string(round));
    }
  }
  StoreClient last = client();
  EXPECT_TRUE(import(last, archive).ok());
  expect_only_whole_layers();
}

TEST_F(StoreKillTest, a_killed_process_of_a_job_is_an_error_to_its_client_and_to_nobody_else) {
  const std::uint64_t range_ms = import_ms() * 5 / 4;
  for (int round = 0; round < kills(); ++round) {
    StoreClient c = client();
    const sys::UniqueFd archive = as_file(small_tar(kKillFiles, "kill " + std::to_string(round)));
    const sys::UniqueFd changed = upper(round), opaque = as_file(""), none = as_file("");
    const int archive_fds[] = {archive.get(), no_secrets_.get()},
              freeze_fds[] = {changed.get(), opaque.get(), none.get()};
    if (round % 2 == 0) {
      ASSERT_TRUE(c.send(ImportTar{kLimits, 60'000}, archive_fds).ok());
    } else {
      ASSERT_TRUE(c.send(freeze_of(), freeze_fds).ok());
    }
    (void)::poll(nullptr, 0, static_cast<int>(random_.below(range_ms)));
    const auto pids = test::descendants(store_.pid());
    if (!pids.empty()) (void)::kill(pids[random_.below(pids.size())], SIGKILL);
    const auto reply = c.finish(nullptr);  // an answer, whichever
    if (!reply) {
      EXPECT_THAT(reply.error().message, testing::HasSubstr("signal 9"));
    }
  }
  EXPECT_TRUE(test::eventually([&] { return staged().empty(); }));
  expect_only_whole_layers();
}

// Those of the job before may still be at it when somebody kills right and left.
TEST_F(StoreKillTest, who_sweeps_up_is_replaced_as_often_as_it_is_killed) {
  constexpr int kSweeperKills = 6;
  const sys::Pipe pipe = sys::make_pipe().value();
  std::string archive = small_tar(4000, "x");
  archive.resize(archive.size() - 1024);  // its end never comes
  std::set<pid_t> killed;
  {
    StoreClient c = client();
    const int fds[] = {pipe.read.get(), no_secrets_.get()};
    ASSERT_TRUE(c.send(ImportTar{kLimits, 600'000}, fds).ok());
    ASSERT_TRUE(sys::write_all(pipe.write.get(), archive).ok());
  }
  ASSERT_TRUE(test::eventually([&] {
    for (const pid_t pid : test::descendants(store_.pid())) {
      if (killed.size() < kSweeperKills && killed.insert(pid).second) (void)::kill(pid, SIGKILL);
    }
    return killed.size() == kSweeperKills || staged().empty();
  }));
  EXPECT_TRUE(test::eventually([&] { return staged().empty(); })) << killed.size();
}

}  // namespace
}  // namespace tare::snapshot
