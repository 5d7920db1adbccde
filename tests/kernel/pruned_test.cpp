// The launcher's mount namespace is its own, and small: what the host has mounted costs a sandbox
// nothing, and is in nobody's reach.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/launcher.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;

std::string mounts_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/mountinfo");
  return {std::istreambuf_iterator<char>(file), {}};
}

// Many mounts below a folder of the test's own; all gone with the first.
class ManyMounts {
 public:
  explicit ManyMounts(int count) {
    fs::create_directories(folder_);
    mounted_ = ::mount("tare-test", folder_.c_str(), "tmpfs", 0, "mode=0755") == 0;
    for (int i = 0; mounted_ && i < count; ++i) {
      const std::string path = folder_ + "/" + std::to_string(i);
      fs::create_directory(path);
      mounted_ = ::mount("tare-test", path.c_str(), "tmpfs", 0, "size=4k") == 0;
    }
  }
  ~ManyMounts() {
    ::umount2(folder_.c_str(), MNT_DETACH);
    fs::remove(folder_);
  }
  ManyMounts(const ManyMounts&) = delete;
  ManyMounts& operator=(const ManyMounts&) = delete;
  bool mounted() const { return mounted_; }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_ = "/tmp/tare-many-mounts-" + std::to_string(::getpid());
  bool mounted_ = false;
};

TEST(Pruned, the_launcher_has_as_few_mounts_on_a_host_with_many) {
  const auto count = [](const TestLauncher& launcher) {
    const std::string text = mounts_of(std::to_string(launcher.pid()));
    return std::ranges::count(text, '\n');
  };
  const TestLauncher few;
  const auto usual = count(few);
  EXPECT_GT(usual, 0);
  EXPECT_LT(usual, 20);
  const ManyMounts many(500);
  ASSERT_TRUE(many.mounted());
  TestLauncher launcher;
  EXPECT_EQ(count(launcher), usual);
  EXPECT_EQ(mounts_of(std::to_string(launcher.pid())).find(many.folder()), std::string::npos);
  const RunResult result = launcher.run(shell_spec("cat /proc/self/mountinfo"));
  EXPECT_EQ(result.out.find("many-mounts"), std::string::npos);
}

}  // namespace
}  // namespace tare::testing
