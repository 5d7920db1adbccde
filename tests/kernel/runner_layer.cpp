#include "runner_layer.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace tare::testing {

std::string make_runner(const TestLauncher& launcher, char digit, const std::string& text) {
  namespace fs = std::filesystem;
  const std::string hex(64, digit);
  const fs::path root = fs::path(launcher.home()) / "store/layers" / hex / "root";
  fs::create_directories(root / "lib");
  std::ofstream(root / "main.sh") << text;
  std::ofstream(root / "lib/code.py") << "x = 1\n";
  fs::copy_file(bin_dir() + "/tare-attack", root / "attack");
  ::chmod((root / "attack").c_str(), 0755);
  return "sha256:" + hex;
}

}  // namespace tare::testing
