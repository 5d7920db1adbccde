#include "layers.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace tare::testing {

namespace fs = std::filesystem;

namespace {

fs::path root_of(const TestLauncher& launcher, const std::string& hex) {
  return fs::path(launcher.home()) / "store/layers" / hex / "root";
}

// With what it is linked with, where it is on this machine.
void add_program(const fs::path& root, const std::string& program, const std::string& as) {
  fs::create_directories(root / "bin");
  const std::string to = root.string();
  const std::string command = "cp " + program + " " + to + "/bin/" + as + " && for file in $(ldd " +
                              program + " | grep -o '/lib[^ ]*'); do mkdir -p " + to +
                              "$(dirname $file) && cp -L $file " + to + "$file || exit 1; done";
  if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
}

}  // namespace

std::vector<std::string> make_layers(const TestLauncher& launcher) {
  std::vector<std::string> digests;
  for (const char digit : {'1', '2', '3'}) {
    const std::string hex(64, digit);
    digests.push_back("sha256:" + hex);
    const fs::path root = root_of(launcher, hex);
    fs::create_directories(root / "etc");
    if (digit != '1') std::ofstream(root / "etc/layer") << digit << "\n";
    if (digit != '1') continue;
    add_program(root, "/bin/dash", "sh");
    add_program(root, "/bin/sleep", "sleep");
  }
  return digests;
}

std::string make_runner(const TestLauncher& launcher, char digit, const std::string& text) {
  const std::string hex(64, digit);
  const fs::path root = root_of(launcher, hex);
  fs::create_directories(root / "lib");
  std::ofstream(root / "main.sh") << text;
  std::ofstream(root / "lib/code.py") << "x = 1\n";
  fs::copy_file(bin_dir() + "/tare-attack", root / "attack", fs::copy_options::skip_existing);
  ::chmod((root / "attack").c_str(), 0755);
  return "sha256:" + hex;
}

}  // namespace tare::testing
