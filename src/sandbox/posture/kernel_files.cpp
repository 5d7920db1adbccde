#include "sandbox/posture/kernel_files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <map>
#include <set>
#include <string>
#include <utility>

#include "sandbox/posture/lines.h"

namespace tare::sandbox::posture {

namespace {

constexpr int kDeepest = 16;  // /proc has no loops of folders, but is the kernel's

// A file and what it is called in the lines.
struct Place {
  std::string path, shown;

  Place below(const std::string& name) const {
    std::string as = name;
    if (is_number(name)) {
      as = shown == "/proc" ? "<pid>" : shown.ends_with("/task") ? "<tid>" : "<n>";
    }
    for (std::size_t at = as.find(' '); at != std::string::npos; at = as.find(' ', at))
      as.replace(at, 1, "\\040");
    return {path + "/" + name, shown + "/" + as};
  }
};

class Walk {
 public:
  // Each of its entries, whether or not it can be listed itself.
  void folder(const Place& place, const Lines& names, int depth) {
    for (const std::string& name : names) entry(place.below(name), depth);
  }

  void root(const std::string& path) {
    struct stat status = {};
    if (::lstat(path.c_str(), &status) != 0) return;
    device_ = status.st_dev;
    directory({path, path}, status, 0);
  }

  void say_all() const {
    for (const auto& [group, names] : found_) {
      std::string line = "file " + group.second + " " + group.first + ":";
      for (const std::string& name : names) line += " " + name;
      say(line);
    }
  }

 private:
  void found(const char* right, const Place& place) {
    const std::size_t slash = place.shown.rfind('/');
    const std::string above = slash == 0 ? "/" : place.shown.substr(0, slash);
    found_[{above, right}].insert(place.shown.substr(slash + 1));
  }

  void entry(const Place& place, int depth) {
    struct stat status = {};
    if (::lstat(place.path.c_str(), &status) != 0) return;
    // Where the links of a process lead is said elsewhere: descriptors, namespaces, mounts, cwd.
    if (S_ISLNK(status.st_mode)) {
      if (link_of(place.path) != "?") found("link", place);
    } else if (S_ISDIR(status.st_mode)) {
      directory(place, status, depth + 1);
    } else {
      file(place);
    }
  }

  void directory(const Place& place, const struct stat& status, int depth) {
    struct statfs system = {};
    const bool of_proc = ::statfs(place.path.c_str(), &system) == 0 &&
                         system.f_type == PROC_SUPER_MAGIC;  // which takes no names from anybody
    if (!of_proc && ::access(place.path.c_str(), W_OK) == 0) found("write", place);
    const int fd = ::open(place.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    ::close(fd);
    const Lines names = names_in(place.path);
    const bool masked = names.empty() && status.st_dev != device_;
    found(masked ? "masked" : "list", place);
    if (depth < kDeepest) folder(place, names, depth);
  }

  void file(const Place& place) {
    constexpr int kQuietly = O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC;
    const int fd = ::open(place.path.c_str(), O_RDONLY | kQuietly);
    if (fd >= 0) {
      struct stat status = {};
      ::fstat(fd, &status);
      if (S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3)) {
        ::close(fd);
        return found("masked", place);
      }
      char bytes[4096];  // of less, some give none
      found(::read(fd, bytes, sizeof bytes) > 0 ? "read" : "open", place);
      ::close(fd);
    }
    const int out = ::open(place.path.c_str(), O_WRONLY | kQuietly);
    if (out < 0) return;
    found("write", place);
    ::close(out);
  }

  dev_t device_ = 0;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> found_;
};

}  // namespace

void kernel_file_lines() {
  Walk walk;
  walk.root("/proc");
  // It is not listed, but its number is known: by the names that any process has.
  walk.folder({"/proc/1", "/proc/1"}, names_in("/proc/self"), 1);
  walk.root("/sys");
  walk.say_all();
}

}  // namespace tare::sandbox::posture
