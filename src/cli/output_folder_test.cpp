#include "cli/output_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "sys/files.h"

namespace tare::cli {
namespace {

namespace fs = std::filesystem;

// base/out is the output folder, base/secret stands outside it.
class OutputFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tare-out-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    std::ofstream(base_ / "secret") << "secret";
    folder_.emplace(OutputFolder::open((base_ / "out").string(), random_).value());
  }
  void TearDown() override { fs::remove_all(base_); }

  Result<> put(std::string_view path, std::string_view text, unsigned mode = 0644) {
    auto file = TRY(folder_->create_file(path));
    TRY(file.write(text));
    return file.commit(mode);
  }
  std::string text_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t entries_outside() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(base_), fs::directory_iterator()));
  }

  SeededRandom random_{7};
  fs::path base_;
  std::optional<OutputFolder> folder_;
};

TEST_F(OutputFolderTest, files_folders_and_links_are_made) {
  ASSERT_TRUE(folder_->make_folder("a", 0755).ok());
  ASSERT_TRUE(folder_->make_folder("a", 0755).ok());
  ASSERT_TRUE(put("a/report.md", std::string("x\0y", 3)).ok());
  ASSERT_TRUE(folder_->make_symlink("a/link", "report.md").ok());
  EXPECT_EQ(text_of(base_ / "out/a/report.md"), std::string("x\0y", 3));
  EXPECT_EQ(fs::read_symlink(base_ / "out/a/link"), "report.md");
}

TEST_F(OutputFolderTest, a_long_run_of_zeros_is_there_and_takes_no_space) {
  const std::string zeros(std::size_t{1} << 20, '\0');
  auto file = folder_->create_file("f").value();
  for (const std::string& piece : {std::string("a"), zeros, std::string("b"), zeros})
    ASSERT_TRUE(file.write(piece).ok());
  ASSERT_TRUE(file.commit(0644).ok());
  EXPECT_TRUE(text_of(base_ / "out/f") == "a" + zeros + "b" + zeros);
  struct stat status = {};
  ASSERT_EQ(::stat((base_ / "out/f").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 1 << 18);
}

TEST_F(OutputFolderTest, an_existing_file_is_replaced_in_one_step) {
  ASSERT_TRUE(put("f", "old").ok());
  {
    auto file = folder_->create_file("f");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("half").ok());
    EXPECT_EQ(text_of(base_ / "out/f"), "old");
  }
  EXPECT_EQ(text_of(base_ / "out/f"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(base_ / "out"), fs::directory_iterator()), 1);
  ASSERT_TRUE(put("f", "new").ok());
  EXPECT_EQ(text_of(base_ / "out/f"), "new");
}

TEST_F(OutputFolderTest, what_is_there_and_no_file_is_not_replaced) {
  ASSERT_EQ(::mkfifo((base_ / "out/fifo").c_str(), 0600), 0);
  EXPECT_EQ(put("fifo", "x").error().code, Errc::conflict);
  EXPECT_EQ(folder_->make_symlink("fifo", "f").error().code, Errc::conflict);
  EXPECT_TRUE(fs::is_fifo(fs::symlink_status(base_ / "out/fifo")));
}

TEST_F(OutputFolderTest, setuid_and_its_kin_are_dropped) {
  ASSERT_TRUE(put("tool", "x", 07755).ok());
  ASSERT_TRUE(folder_->make_folder("d", 07000).ok());
  struct stat st{};
  ASSERT_EQ(::stat((base_ / "out/tool").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  ASSERT_EQ(::stat((base_ / "out/d").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
}

TEST_F(OutputFolderTest, names_that_lead_outside_are_refused) {
  const std::string table[] = {"",
                               ".",
                               "..",
                               "/",
                               "/etc/passwd",
                               "../secret",
                               "a/../../secret",
                               "a//b",
                               "a/",
                               "./a",
                               "a/./b",
                               std::string("a\0b", 3),
                               std::string(300, 'x'),
                               "a/..",
                               "../out/x",
                               std::string(5000, 'x')};
  for (const auto& path : table) {
    EXPECT_FALSE(put(path, "x").ok()) << path;
    EXPECT_FALSE(folder_->make_folder(path, 0755).ok()) << path;
    EXPECT_FALSE(folder_->make_symlink(path, "x").ok()) << path;
  }
  EXPECT_EQ(text_of(base_ / "secret"), "secret");
  EXPECT_EQ(entries_outside(), 2u);
}

TEST_F(OutputFolderTest, a_symlink_on_the_way_is_not_followed) {
  fs::create_symlink(base_, base_ / "out/up");  // by whoever was here before
  ASSERT_TRUE(folder_->make_folder("d", 0755).ok());
  ASSERT_TRUE(folder_->make_symlink("in", "d").ok());  // also not one of ours, that stays inside
  for (const char* path : {"up/secret", "up/new", "in/new"}) {
    EXPECT_FALSE(put(path, "x").ok()) << path;
    EXPECT_FALSE(folder_->make_folder(path, 0755).ok()) << path;
    EXPECT_FALSE(folder_->make_symlink(path, "y").ok()) << path;
  }
  EXPECT_EQ(text_of(base_ / "secret"), "secret");
  EXPECT_EQ(entries_outside(), 2u);
}

TEST_F(OutputFolderTest, a_symlink_that_has_the_name_of_a_file_is_replaced_not_followed) {
  fs::create_symlink(base_ / "secret", base_ / "out/f");
  ASSERT_TRUE(put("f", "new").ok());
  EXPECT_FALSE(fs::is_symlink(base_ / "out/f"));
  EXPECT_EQ(text_of(base_ / "secret"), "secret");
}

TEST_F(OutputFolderTest, links_that_may_lead_outside_are_not_made) {
  const std::pair<std::string_view, std::string_view> bad[] = {
      {"l", "/etc/passwd"},    {"l", ".."},        {"l", "../secret"},
      {"a/l", "../../secret"}, {"a/l", "x/../.."}, {"a/l", "./../../x"},
      {"a/b/l", "../../../x"}, {"l", "a/.."},      {"l", ""},
      {"a/b/l", "../b/.."},    {"a/l", "..//../x"}};
  for (const auto& [path, target] : bad)
    EXPECT_FALSE(link_stays_inside(path, target)) << path << " " << target;
  const std::pair<std::string_view, std::string_view> good[] = {
      {"l", "x"},    {"l", "./x/y"}, {"a/l", "../x"}, {"a/b/l", "../../x"},
      {"a/l", ".."}, {"l", "..x"},   {"l", "x..y/z"}};
  for (const auto& [path, target] : good)
    EXPECT_TRUE(link_stays_inside(path, target)) << path << " " << target;
  EXPECT_EQ(folder_->make_symlink("l", "../secret").error().code, Errc::denied);
}

// Whatever a server sends, following any link that was made stays below the folder.
TEST_F(OutputFolderTest, no_set_of_links_leads_outside) {
  std::mt19937 random(99);
  const char* names[] = {"a",   "b",    "c",     "..",    ".",     "a/b",
                         "b/c", "../a", "../..", "a/b/c", "../b/c"};
  const auto pick = [&] { return std::string(names[random() % std::size(names)]); };
  for (int i = 0; i < 3000; ++i) {
    std::string path = pick();
    if (random() % 2 == 0) path += "/" + pick();
    switch (random() % 3) {
      case 0: static_cast<void>(folder_->make_folder(path, 0755)); break;
      case 1: static_cast<void>(put(path, "x")); break;
      default: static_cast<void>(folder_->make_symlink(path, pick() + "/" + pick()));
    }
  }
  EXPECT_EQ(entries_outside(), 2u);
  const auto root = fs::canonical(base_ / "out").string();
  for (const auto& entry : fs::recursive_directory_iterator(base_ / "out")) {
    std::error_code error;
    const auto resolved = fs::canonical(entry.path(), error)
                              .string();  // fails for a loop or a dangling link
    if (error) continue;
    EXPECT_TRUE(resolved == root || resolved.starts_with(root + "/"))
        << entry.path() << " -> " << resolved;
  }
}

}  // namespace
}  // namespace tare::cli
