#include "sandbox/posture/lines.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace tare::sandbox::posture {

void say(const std::string& line) { std::printf("%s\n", line.c_str()); }

Lines read_lines(const std::string& path) {
  Lines lines;
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return lines;
  char buffer[8192];
  while (std::fgets(buffer, sizeof buffer, file) != nullptr) {
    std::string line = buffer;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    lines.push_back(line);
  }
  std::fclose(file);
  return lines;
}

Lines names_in(const std::string& folder) {
  Lines names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string link_of(const std::string& path) {
  char target[4096];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  return n < 0 ? std::string("?") : std::string(target, static_cast<std::size_t>(n));
}

}  // namespace tare::sandbox::posture
