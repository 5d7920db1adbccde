#include "sandbox/launch/layer_marks.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace tare::sandbox {
namespace {

namespace fs = std::filesystem;

TEST(LayerMarks, a_layer_that_was_removed_and_made_again_has_another_mark) {
  const fs::path dir = fs::temp_directory_path() / ("layer-marks-" + std::to_string(::getpid()));
  const std::string hex(64, 'a');
  const std::vector<std::string> digests = {"sha256:" + hex};
  fs::create_directories(dir / hex / "root");
  const LayerMarks first = mark_layers(dir, digests);
  EXPECT_NE(first[0].inode, 0U);
  EXPECT_EQ(mark_layers(dir, digests), first);
  fs::rename(dir / hex, dir / "aside");  // kept, as a mount keeps it
  EXPECT_EQ(mark_layers(dir, digests), LayerMarks{LayerMark{}});
  fs::create_directories(dir / hex / "root");
  EXPECT_NE(mark_layers(dir, digests), first);
  fs::remove_all(dir);
  EXPECT_TRUE(mark_layers(dir, {}).empty());
}

}  // namespace
}  // namespace tare::sandbox
