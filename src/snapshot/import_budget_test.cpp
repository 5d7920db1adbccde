// What archives that are unpacked at once may take together (ATTACKS S17), against the real
// tare-store.
#include "snapshot/import_budget.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <filesystem>
#include <thread>

#include "snapshot/test_service.h"

namespace tare::snapshot {
namespace {

using test::TarEntry;
using test::why;

constexpr std::uint64_t kMost = 64 << 20;  // as import_bytes_ below says
constexpr std::uint64_t kPot = kMost / 2, kShare = kPot / kImportSlots;

TEST(ImportBudget, who_stays_within_its_share_goes_on_whatever_the_others_take) {
  ImportBudget budget = ImportBudget::make(kMost).value();
  const auto big = budget.take(), small = budget.take();
  EXPECT_TRUE(budget.use(*big, kShare + kPot, 1).ok());
  EXPECT_EQ(budget.use(*big, kShare + kPot + 1, 1).error().code, Errc::exhausted);
  EXPECT_TRUE(budget.use(*small, kShare, 1).ok());
  EXPECT_THAT(why(budget.use(*small, kShare + 1, 1)), testing::HasSubstr("64M together"));
  EXPECT_TRUE(budget.use(*big, kShare + kPot / 2, 1).ok());
  EXPECT_TRUE(budget.use(*small, kShare + kPot / 2, 1).ok());
  budget.give_back(*big);
  EXPECT_TRUE(budget.use(*small, kShare + kPot, 1).ok());
  EXPECT_EQ(budget.use(*small, 0, kMaxImportEntries).error().code, Errc::exhausted);
}

TEST(ImportBudget, there_are_as_many_slots_as_the_bound_is_made_for) {
  ImportBudget budget = ImportBudget::make(kMost).value();
  for (std::size_t i = 0; i < kImportSlots; ++i) EXPECT_EQ(budget.take(), i);
  EXPECT_EQ(budget.take(), std::nullopt);
  budget.give_back(5);
  EXPECT_EQ(budget.take(), 5U);
}

TEST(ImportBudget, what_a_child_says_of_itself_is_seen_by_all) {
  ImportBudget budget = ImportBudget::make(kMost).value();
  const auto mine = budget.take(), its = budget.take();
  sys::Child child = sys::fork_child().value();
  if (!child.valid()) ::_exit(budget.use(*its, kShare + kPot, 1) ? 0 : 1);
  EXPECT_EQ(child.wait(nullptr)->code, 0);
  EXPECT_FALSE(budget.use(*mine, kShare + 1, 1).ok());
}

class ImportBudgetStoreTest : public test::RunningStore {
 protected:
  ImportBudgetStoreTest() { import_bytes_ = "64M"; }
  // What the staging folder has on the disk.
  std::uint64_t staged_bytes() const {
    namespace fs = std::filesystem;
    std::uint64_t bytes = 0;
    std::error_code gone;
    fs::recursive_directory_iterator at(home_.path() + "/store/staging", gone);
    for (; at != fs::recursive_directory_iterator(); at.increment(gone)) {
      struct stat status = {};
      if (::lstat(at->path().c_str(), &status) == 0)
        bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
      if (gone) break;
    }
    return bytes;
  }
  // An archive without an end, until somebody refuses it.
  Result<Imported> endless(int number, std::uint64_t file_bytes) {
    sys::Pipe pipe = sys::make_pipe().value();
    std::thread writer([&] {
      const std::string content(file_bytes, static_cast<char>('a' + number));
      for (int i = 0; i < 2000; ++i) {
        const std::string one = test::tar_entry({.name = std::to_string(i), .content = content});
        if (!sys::write_all(pipe.write.get(), one)) return;
      }
    });
    StoreClient c = client();
    const sys::UniqueFd none = test::as_file("");
    const int fds[] = {pipe.read.get(), none.get()};
    const Result<> sent = c.send(ImportTar{.limits = {.max_entries = 100'000,
                                                      .max_bytes = std::uint64_t{1} << 40,
                                                      .max_file_bytes = std::uint64_t{1} << 40},
                                           .timeout_ms = 60'000},
                                 fds);
    CHECK(sent.ok());
    pipe.read.reset();
    auto imported = expect<Imported>(c.finish(nullptr));
    writer.join();
    return imported;
  }
};

TEST_F(ImportBudgetStoreTest,
       S17_eight_bombs_at_once_stay_within_one_bound_and_a_small_one_passes) {
  ::signal(SIGPIPE, SIG_IGN);
  std::atomic<int> done = 0;
  std::vector<Result<Imported>> ends(8, Result<Imported>(Error{Errc::internal, "none"}));
  std::vector<std::thread> bombs;
  for (int i = 0; i < 8; ++i) {
    bombs.emplace_back([&, i] {
      ends[static_cast<std::size_t>(i)] = endless(i, 100'000);
      ++done;
    });
  }
  std::uint64_t most = 0;
  int small = 0;
  while (done < 8) {
    most = std::max(most, staged_bytes());
    StoreClient c = client();
    const auto one = import(c, test::small_tar(3, "small " + std::to_string(++small)));
    EXPECT_TRUE(one.ok()) << why(one);
  }
  for (std::thread& bomb : bombs) bomb.join();
  for (const auto& end : ends) {
    ASSERT_FALSE(end.ok());
    EXPECT_EQ(end.error().code, Errc::exhausted) << end.error().message;
    EXPECT_THAT(end.error().message, testing::HasSubstr("64M together"));
  }
  // What is told in steps of a MiB, each; and folders.
  EXPECT_LE(most, kMost + 9 * (2 << 20));
  EXPECT_GT(most, kPot / 2) << "or nothing was seen";
  EXPECT_TRUE(test::eventually([&] { return staged().empty(); }));
  StoreClient c = client();
  EXPECT_TRUE(import(c, test::small_tar(200, std::string(100'000, 'x'))).ok())
      << "and all of it is free again";
}

TEST_F(ImportBudgetStoreTest, S17_what_a_client_left_behind_counts_until_it_is_removed) {
  for (int round = 0; round < 60; ++round) {  // more than there are slots
    const sys::Pipe pipe = sys::make_pipe().value();
    StoreClient c = client();
    const int fds[] = {pipe.read.get(), no_secrets_.get()};
    ASSERT_TRUE(c.send(ImportTar{test::kLimits, 60'000}, fds).ok());
    ASSERT_TRUE(sys::write_all(pipe.write.get(),
                               test::tar_entry({.name = "f", .content = std::string(20'000, 'x')}))
                    .ok());
  }
  EXPECT_TRUE(test::eventually([&] {
    StoreClient c = client();
    return import(c, test::small_tar(1, "after")).ok();
  }));
  EXPECT_TRUE(test::eventually([&] { return staged().empty(); }));
}

}  // namespace
}  // namespace tare::snapshot
