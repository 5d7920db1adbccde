#include "sandbox/launch/layer_marks.h"

#include <sys/stat.h>

namespace tare::sandbox {

LayerMarks mark_layers(const std::string& layers_dir, const std::vector<std::string>& digests) {
  constexpr std::size_t kPrefix = sizeof("sha256:") - 1;
  LayerMarks marks;
  for (const std::string& digest : digests) {
    struct stat status = {};
    const std::string root = layers_dir + "/" + digest.substr(kPrefix) + "/root";
    const bool there = ::stat(root.c_str(), &status) == 0;
    marks.push_back(there ? LayerMark{status.st_dev, status.st_ino} : LayerMark{});
  }
  return marks;
}

}  // namespace tare::sandbox
