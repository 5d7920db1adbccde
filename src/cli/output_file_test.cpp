#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "sys/files.h"

namespace tare::cli {
namespace {

namespace fs = std::filesystem;
using Existing = OutputFile::Existing;

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tare-file-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
  }
  void TearDown() override { fs::remove_all(base_); }

  std::string path(const std::string& name) const { return (base_ / name).string(); }
  static void put(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string text_of(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  // As a command does.
  Result<> written(const std::string& path, Existing existing, std::string_view text) {
    auto file = TRY(OutputFile::open(path, existing, random_));
    TRY(file.write(text));
    return file.commit(0600);
  }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(base_), {}));
  }

  fs::path base_;
  SystemRandom random_;
};

TEST_F(OutputFileTest, a_new_file_is_its_owners_alone) {
  ASSERT_TRUE(written(path("new"), Existing::refuse, "text").ok());
  EXPECT_EQ(text_of(path("new")), "text");
  EXPECT_EQ(fs::status(path("new")).permissions(), fs::perms(0600));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(OutputFileTest, one_that_is_not_finished_leaves_nothing) {
  ASSERT_TRUE(OutputFile::open(path("new"), Existing::refuse, random_)->write("half").ok());
  EXPECT_EQ(entries(), 0U);
}

TEST_F(OutputFileTest, a_file_that_is_there_is_replaced_on_request_alone) {
  put(path("old"), "old");
  const auto refused = written(path("old"), Existing::refuse, "new");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("--force"), std::string::npos);
  EXPECT_EQ(text_of(path("old")), "old");
  ASSERT_TRUE(written(path("old"), Existing::replace, "new").ok());
  EXPECT_EQ(text_of(path("old")), "new");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(OutputFileTest, one_that_is_made_meanwhile_stays) {
  auto file = OutputFile::open(path("late"), Existing::refuse, random_);
  ASSERT_TRUE(file.ok());
  put(path("late"), "theirs");
  EXPECT_FALSE(file->commit(0600).ok());
  EXPECT_EQ(text_of(path("late")), "theirs");
}

TEST_F(OutputFileTest, a_link_stays_and_what_it_leads_to_is_replaced) {
  fs::create_directory(base_ / "folder");
  put(path("folder/old"), "old");
  fs::create_symlink("folder/old", base_ / "link");
  fs::create_symlink("nothing", base_ / "loose");
  EXPECT_FALSE(written(path("link"), Existing::refuse, "new").ok());
  ASSERT_TRUE(written(path("link"), Existing::replace, "new").ok());
  EXPECT_TRUE(fs::is_symlink(base_ / "link"));
  EXPECT_EQ(text_of(path("folder/old")), "new");
  EXPECT_FALSE(written(path("loose"), Existing::replace, "new").ok());
  EXPECT_TRUE(fs::is_symlink(base_ / "loose"));
}

TEST_F(OutputFileTest, a_fifo_is_written_through_and_a_reader_that_goes_is_an_error) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  fs::create_symlink("fifo", base_ / "link");
  for (const char* name : {"fifo", "link"}) {
    std::string seen;
    std::thread reader([&] { seen = text_of(path("fifo")); });
    EXPECT_TRUE(written(path(name), Existing::refuse, "through").ok());
    reader.join();
    EXPECT_EQ(seen, "through");
  }
  auto reader = sys::open_at(sys::kCwd, path("fifo"), O_RDONLY | O_NONBLOCK);
  auto file = OutputFile::open(path("fifo"), Existing::replace, random_);
  ASSERT_TRUE(file.ok());
  reader->reset();
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const auto lost = file->write("lost");
  ::signal(SIGPIPE, before);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().sys, 0) << "EPIPE is our own stdout's";
  EXPECT_NE(lost.error().message.find("fifo"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(base_ / "fifo"));
}

TEST_F(OutputFileTest, a_device_that_is_full_is_an_error_that_names_it_and_stays_a_device) {
  fs::create_symlink("/dev/full", base_ / "link");
  for (const auto existing : {Existing::refuse, Existing::replace}) {
    const auto full = written(path("link"), existing, "text");
    ASSERT_FALSE(full.ok());
    EXPECT_EQ(full.error().code, Errc::exhausted);
    EXPECT_NE(full.error().message.find("link"), std::string::npos) << full.error().message;
  }
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  EXPECT_TRUE(fs::is_symlink(base_ / "link"));
}

TEST_F(OutputFileTest, no_folder_is_made) {
  const auto missing = written(path("a/b/new"), Existing::replace, "text");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_NE(missing.error().message.find("there is no folder"), std::string::npos);
  EXPECT_FALSE(written(path(""), Existing::replace, "text").ok()) << "a folder";
  EXPECT_EQ(entries(), 0U);
}

TEST(OurStdout, is_known_by_every_name) {
  EXPECT_TRUE(is_our_stdout("/proc/self/fd/1"));
  EXPECT_FALSE(is_our_stdout("/dev/full"));
  EXPECT_FALSE(is_our_stdout("/nowhere"));
}

}  // namespace
}  // namespace tare::cli
