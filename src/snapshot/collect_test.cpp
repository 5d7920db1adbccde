// Output folders as a hostile program would leave them.
#include "snapshot/collect.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <gmock/gmock.h>

#include "snapshot/test_support.h"

namespace tare::snapshot {
namespace {

using test::TempDir;

constexpr uid_t kUser = 4321;
constexpr std::uint32_t kBase = 100'000;

// A home with a run, and a folder as a sandbox with ids from kBase would leave it.
class CollectTest : public testing::Test {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    store_.emplace(LayerStore::open(home_.fd(), kUser, kUser).value());
    ASSERT_TRUE(sys::make_dir_at(store_->runs(), kRun, 0700).ok());
    ASSERT_TRUE(sys::own_at(store_->runs(), kRun, kUser, kUser).ok());
    own_all();
  }
  // Everything in the source belongs to the sandbox's user 1000.
  void own_all() { ASSERT_EQ(::system(("chown -hR 101000:101000 " + source_.path()).c_str()), 0); }
  Result<Collected> run(std::uint64_t max_entries = 1000, std::uint64_t max_bytes = 1 << 20) {
    const Collect request{kRun, kBase, 65'536, {max_entries, max_bytes, 1 << 30}, 60'000};
    return collect(*store_, "stage", source_.fd(), request, nullptr);
  }
  std::string out(const std::string& name) const { return home_.read(kOut + name); }
  struct stat out_stat(const std::string& name) const { return home_.stat(kOut + name); }
  static std::uint64_t count(const Collected& c, SkipReason r) {
    return c.skipped[static_cast<std::size_t>(r)];
  }

  const std::string kRun = "run_01jd8k3m5n7p9q1r3s5t7v9w1x";
  const std::string kOut = "runs/" + kRun + "/output/";
  TempDir home_, source_;
  std::optional<LayerStore> store_;
};

TEST_F(CollectTest, keeps_files_folders_links_and_makes_them_the_users) {
  const sys::UniqueFd sub = source_.folder("d");
  source_.write("d/secret", "mine", 0);
  source_.write("tool", "#!", 04755);
  ASSERT_EQ(::linkat(source_.fd(), "tool", source_.fd(), "tool2", 0), 0);
  ASSERT_EQ(::symlinkat("/etc/shadow", source_.fd(), "l"), 0);
  own_all();
  ASSERT_EQ(::fchmodat(source_.fd(), "tool", 06755, 0), 0);
  ASSERT_EQ(::fchmodat(source_.fd(), "d", 0, 0), 0);
  ASSERT_TRUE(sys::set_mtime_at(source_.fd(), "tool", 1234).ok());
  const auto collected = run();
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 2U);
  EXPECT_EQ(collected->folders, 1U);
  EXPECT_EQ(collected->links, 2U);
  EXPECT_EQ(collected->bytes, 6U);
  EXPECT_EQ(collected->skipped_in_all(), 0U);
  EXPECT_EQ(out("d/secret"), "mine");
  EXPECT_EQ(out_stat("d/secret").st_mode, S_IFREG | 0600U) << "readable by its new owner";
  EXPECT_EQ(out_stat("d").st_mode, S_IFDIR | 0700U);
  EXPECT_EQ(out_stat("tool").st_mode, S_IFREG | 0755U) << "setuid and setgid are gone";
  EXPECT_EQ(out_stat("tool").st_mtim.tv_sec, 1234);
  EXPECT_EQ(out_stat("tool").st_ino, out_stat("tool2").st_ino);
  EXPECT_EQ(sys::read_link_at(home_.fd(), kOut + "l").value(), "/etc/shadow")
      << "kept, not followed";
  for (const char* name : {"", "d", "d/secret", "tool", "l"}) {
    EXPECT_EQ(out_stat(name).st_uid, kUser) << name;
    EXPECT_EQ(out_stat(name).st_gid, kUser) << name;
  }
  EXPECT_TRUE(sys::list_dir(store_->staging(), ".").value().empty());
}

TEST_F(CollectTest, what_cannot_be_kept_is_skipped_counted_and_named) {
  source_.write("good", "x");
  ASSERT_EQ(::mkfifoat(source_.fd(), "fifo", 0666), 0);
  const sys::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  (source_.path() + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  if (::mknodat(source_.fd(), "device", S_IFCHR | 0666, 0x103) != 0)
    GTEST_SKIP() << "no device nodes here";
  own_all();
  source_.write("foreign", "the host's");  // root's, not the sandbox's
  const auto collected = run();
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 1U);
  EXPECT_EQ(count(*collected, SkipReason::special), 3U);
  EXPECT_EQ(count(*collected, SkipReason::foreign), 1U);
  EXPECT_THAT(collected->skips,
              testing::UnorderedElementsAre(
                  Skip{SkipReason::special, "fifo"}, Skip{SkipReason::special, "socket"},
                  Skip{SkipReason::special, "device"}, Skip{SkipReason::foreign, "foreign"}));
  EXPECT_EQ(out("good"), "x");
  EXPECT_FALSE(home_.has(kOut + "foreign"));
}

TEST_F(CollectTest, holes_stay_holes_and_cost_nothing) {
  source_.write("sparse", "begin");
  ASSERT_EQ(::truncate((source_.path() + "/sparse").c_str(), 1 << 30), 0);
  own_all();
  const auto collected = run();
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(count(*collected, SkipReason::too_large), 0U);
  EXPECT_LE(collected->bytes, 4096U);
  EXPECT_EQ(out_stat("sparse").st_size, 1 << 30);
  EXPECT_LE(out_stat("sparse").st_blocks, 16);
}

TEST_F(CollectTest, beyond_the_limits_what_fits_is_kept) {
  source_.write("a", std::string(600, 'a'));
  source_.write("b", std::string(600, 'b'));
  source_.write("c", std::string(300, 'c'));
  source_.write("huge", "");
  ASSERT_EQ(::truncate((source_.path() + "/huge").c_str(), (1L << 30) + 1), 0);
  own_all();
  const auto collected = run(1000, 1000);
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 2U);
  EXPECT_EQ(collected->bytes, 900U);
  EXPECT_EQ(count(*collected, SkipReason::too_large), 2U) << "b by the bytes, huge by its length";
  EXPECT_FALSE(home_.has(kOut + "b")) << "half a file is no file";
  EXPECT_EQ(out("c"), std::string(300, 'c'));
}

TEST_F(CollectTest, too_many_entries_end_the_walk_and_it_is_said) {
  for (int i = 100; i < 150; ++i) source_.write(std::to_string(i), "x");
  own_all();
  const auto collected = run(20);
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 20U);
  EXPECT_EQ(collected->skips, (std::vector<Skip>{{SkipReason::too_many, "120"}}));
}

TEST_F(CollectTest, a_tree_deeper_than_allowed_is_cut_there) {
  sys::UniqueFd at = source_.dup();
  for (std::size_t i = 0; i < kMaxEntryDepth + 50; ++i) {
    ASSERT_TRUE(sys::make_dir_at(at.get(), "d", 0755).ok());
    at = sys::open_at(at.get(), "d", O_RDONLY | O_DIRECTORY).value();
  }
  own_all();
  const auto collected = run();
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->folders, kMaxEntryDepth);
  EXPECT_EQ(count(*collected, SkipReason::bad_name), 1U);
}

TEST_F(CollectTest, another_file_system_inside_is_not_entered) {
  const sys::UniqueFd mounted = source_.folder("mnt");
  if (::system(("mount -t tmpfs tmpfs " + source_.path() + "/mnt 2>/dev/null").c_str()) != 0)
    GTEST_SKIP();
  source_.write("mnt/f", "x");
  const auto collected = run();
  ASSERT_EQ(::system(("umount " + source_.path() + "/mnt").c_str()), 0);
  ASSERT_TRUE(collected.ok()) << collected.error().message;
  EXPECT_EQ(collected->files, 0U);
  EXPECT_EQ(count(*collected, SkipReason::unreadable), 1U);
}

TEST_F(CollectTest, output_is_collected_once) {
  source_.write("f", "first");
  own_all();
  ASSERT_TRUE(run().ok());
  source_.write("f", "second");
  const auto again = run();
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Errc::conflict);
  EXPECT_EQ(out("f"), "first");
}

TEST_F(CollectTest, an_empty_output_is_answered_at_once_with_an_empty_folder) {
  const Collect request{kRun, kBase, 65'536, {10, 10, 10}, 1000};
  const auto nothing = collect_nothing(*store_, source_.fd(), request);
  ASSERT_TRUE(nothing.ok()) << nothing.error().message;
  ASSERT_TRUE(nothing->has_value());
  EXPECT_EQ(out_stat("").st_uid, kUser);
  source_.write("f", "x");
  EXPECT_FALSE(collect_nothing(*store_, source_.fd(), request)->has_value());
  own_all();
  EXPECT_TRUE(run().ok()) << "the empty folder gives way";
}

TEST_F(CollectTest, the_runs_folder_is_never_reached_through_a_symlink_and_must_be_tares) {
  source_.write("f", "x");
  own_all();
  const std::string folder = home_.path() + "/runs/" + kRun;
  ASSERT_EQ(::rmdir(folder.c_str()), 0);
  EXPECT_EQ(run().error().code, Errc::not_found);
  ASSERT_TRUE(store_->discard("stage").ok());
  const TempDir elsewhere;
  ASSERT_EQ(::symlink(elsewhere.path().c_str(), folder.c_str()), 0);
  EXPECT_FALSE(run().ok());
  ASSERT_TRUE(store_->discard("stage").ok());
  ASSERT_EQ(::unlink(folder.c_str()), 0);
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);  // root's
  EXPECT_EQ(run().error().code, Errc::denied);
  EXPECT_TRUE(sys::list_dir(elsewhere.fd(), ".").value().empty());
}

TEST_F(CollectTest, removing_a_run_removes_no_more_than_the_run) {
  const TempDir elsewhere;
  elsewhere.write("kept", "x");
  const std::string folder = home_.path() + "/runs/" + kRun;
  ASSERT_EQ(::symlink(elsewhere.path().c_str(), (folder + "/link").c_str()), 0);
  ASSERT_EQ(::system(("mkdir -p " + folder + "/a/b && touch " + folder + "/a/b/f && chown 7:7 " +
                      folder + "/a/b")
                         .c_str()),
            0);
  ASSERT_EQ(test::why(remove_run(*store_, "gone", kRun)), "");
  EXPECT_FALSE(home_.has("runs/" + kRun));
  EXPECT_EQ(elsewhere.read("kept"), "x");
  EXPECT_TRUE(remove_run(*store_, "gone", kRun).ok()) << "again is fine";
  EXPECT_TRUE(sys::list_dir(store_->staging(), ".").value().empty());
}

}  // namespace
}  // namespace tare::snapshot
