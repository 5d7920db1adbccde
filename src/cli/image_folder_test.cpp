#include "cli/image_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "base/random.h"

namespace tare::cli {
namespace {

namespace fs = std::filesystem;

class FolderWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tare-layout-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    folder_.emplace(OutputFolder::open((base_ / "out").string(), random_).value());
  }
  void TearDown() override { fs::remove_all(base_); }

  static std::string entry(const std::string& name, const std::string& content) {
    TarHeader header;
    header.name = name;
    header.size = content.size();
    return tar_header(header) + content + tar_padding(content.size());
  }

  static std::string folder_entry(const std::string& name) {
    TarHeader header;
    header.name = name;
    header.type = TarType::folder;
    return tar_header(header);
  }

  fs::path base_;
  SystemRandom random_;
  std::optional<OutputFolder> folder_;
};

TEST_F(FolderWriterTest, what_comes_in_any_pieces_is_the_same_folder_and_its_owners_alone) {
  const std::string content(1000, 'x');
  const std::string archive = entry("oci-layout", "{}") + folder_entry("blobs/") +
                              folder_entry("blobs/sha256/") + entry("blobs/sha256/a", content) +
                              std::string(kTarEndBytes, '\0');
  for (const std::size_t piece : {std::size_t{1}, std::size_t{511}, archive.size()}) {
    FolderWriter writer(*folder_);
    for (std::size_t at = 0; at < archive.size(); at += piece)
      ASSERT_TRUE(writer.write(std::string_view(archive).substr(at, piece)).ok());
    ASSERT_TRUE(writer.finish().ok());
    const fs::path file = base_ / "out/blobs/sha256/a";
    EXPECT_EQ(fs::file_size(file), content.size());
    EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
  }
}

TEST_F(FolderWriterTest, a_layout_that_is_there_is_whole_until_the_new_one_is) {
  const fs::path index = base_ / "out/index.json";
  std::ofstream(index) << "old";
  const auto text = [&] {
    std::ostringstream out;
    out << std::ifstream(index).rdbuf();
    return out.str();
  };
  const std::string archive = entry("index.json", "new") + entry("blob", "x");
  {
    FolderWriter cut(*folder_);
    ASSERT_TRUE(cut.write(archive).ok());
    EXPECT_FALSE(cut.finish().ok());
  }
  EXPECT_EQ(text(), "old");
  FolderWriter writer(*folder_);
  ASSERT_TRUE(writer.write(archive + std::string(kTarEndBytes, '\0')).ok());
  EXPECT_EQ(text(), "old");
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_EQ(text(), "new");
}

TEST_F(FolderWriterTest, a_layer_of_many_gigabytes_is_begun) {
  TarHeader header;
  header.name = "long";
  header.size = std::uint64_t{20} << 30;
  FolderWriter writer(*folder_);
  EXPECT_TRUE(writer.write(tar_header(header) + std::string(5000, 'x')).ok());
  EXPECT_FALSE(writer.finish().ok()) << "it was cut short";
}

TEST_F(FolderWriterTest, names_that_lead_elsewhere_are_refused) {
  for (const char* name : {"../x", "/etc/passwd", "a/../../x", ".."}) {
    FolderWriter writer(*folder_);
    EXPECT_FALSE(writer.write(entry(name, "evil")).ok()) << name;
  }
}

}  // namespace
}  // namespace tare::cli
