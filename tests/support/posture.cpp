#include "support/posture.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "base/ids.h"
#include "support/posture_files.h"
#include "sys/landlock.h"

namespace tare::testing {

namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

constexpr std::string_view kInterface = "interface ";
constexpr rlim_t kProcesses = 32'768;  // of what is reviewed

std::string golden(const std::string& name) {
  return std::string(TARE_SOURCE_DIR) + "/tests/golden/posture_" + name + ".txt";
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Namespaces by what matters: is it the host's?
std::string own_or_host(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  std::string name;
  std::string inode;
  words >> word >> name >> inode;
  std::error_code error;
  const std::string host = fs::read_symlink("/proc/self/ns/" + name, error).string();
  return word + " " + name + (host == inode ? " HOST" : " own");
}

// What Tare leaves as it found it: the host's own, and another one on another host.
bool is_inherited(const std::string& line) {
  return line.starts_with("sessionid ");  // of the audit log: once set, for good
}

// Of the network of this process, which is the host's.
std::set<std::string> own_interfaces() {
  std::set<std::string> names;
  for (const std::string& line : lines_of(text_of("/proc/self/net/dev"))) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t from = line.find_first_not_of(' ');
    names.insert(line.substr(from, colon - from));
  }
  return names;
}

// How much there is in the host's tables is the host's to say: another amount at another time.
std::string of_host_network(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  std::string table;
  std::string count;
  words >> kind >> table >> count;
  const bool is_count = !count.empty() &&
                        count.find_first_not_of("0123456789") == std::string::npos;
  return kind == "network" && is_count ? kind + " " + table + " of the host" : line;
}

std::string stable(std::string line, bool host_network) {
  if (line.starts_with("namespace ")) return own_or_host(line);
  if (host_network) line = of_host_network(line);
  // Without it in the kernel there is no second wall; permissions hold alone.
  if (line == "landlock none" && sys::landlock_abi() == 0) return "landlock 1";
  constexpr std::string_view kRun = "variable TARE_RUN=";
  if (line.starts_with(kRun) && is_run_id(line.substr(kRun.size())))
    return std::string(kRun) + "<run id>";
  // Not more than the user may who started it, but for root.
  rlimit own = {};
  if (::geteuid() != 0 && ::getrlimit(RLIMIT_NPROC, &own) == 0 && own.rlim_max < kProcesses) {
    const auto limit = [](rlim_t most) {
      const std::string number = std::to_string(most);
      return "limit Max processes " + number + " " + number + " processes ";
    };
    if (line == limit(own.rlim_max)) return limit(kProcesses);
  }
  // Of the host's own kind.
  for (const char* point : {"mount /usr ", "mount /input ", "mount /etc/apt ", "mount /etc/hosts ",
                            "mount /etc/resolv.conf ", "mount /opt/tare/runner "}) {
    if (!line.starts_with(point)) continue;
    line = point + line.substr(line.find(' ', std::strlen(point)) + 1);
    const std::size_t idmapped = line.find(",idmapped ");
    if (idmapped != std::string::npos) line.erase(idmapped, 9);  // not on an overlay
  }
  return line;
}

// What is masked, or shown to a build of /etc, is a mount where this host has it, else nothing; and
// a kernel may be without IPv6.
bool is_of_another_host(const std::string& line) {
  if (line.starts_with("address ") || line.starts_with("route "))
    return line.find(':') != std::string::npos && !fs::exists("/proc/self/net/if_inet6");
  constexpr std::string_view kMount = "mount ";
  if (!line.starts_with("mount /proc/") && !line.starts_with("mount /etc/")) return false;
  const std::string path = line.substr(kMount.size(),
                                       line.find(' ', kMount.size()) - kMount.size());
  return !fs::exists(fs::symlink_status(path));
}

struct Said {
  Lines files, others;
};

Said split(const std::string& said, bool host_network) {
  Said out;
  std::set<std::string> interfaces;
  for (const std::string& line : lines_of(said)) {
    if (line.starts_with("file ")) {
      out.files.push_back(line);
    } else if (host_network && line.starts_with(kInterface)) {
      const std::size_t end = line.find(' ', kInterface.size());
      interfaces.insert(line.substr(kInterface.size(), end - kInterface.size()));
    } else if (host_network && (line.starts_with("address ") || line.starts_with("route "))) {
      continue;  // the host's: that this is its namespace is a line of its own
    } else if (!is_inherited(line)) {
      out.others.push_back(stable(line, host_network));
    }
  }
  if (!host_network) return out;
  if (interfaces == own_interfaces()) interfaces = {"of the host, all of them"};
  for (const std::string& name : interfaces) out.others.push_back(std::string(kInterface) + name);
  return out;
}

// "~ OLD NEW POINT...", without the first word.
void change_types(Lines& lines, const std::string& change) {
  std::istringstream words(change);
  std::string from;
  std::string to;
  words >> from >> to;
  for (std::string point; words >> point;) {
    const std::string start = "mount " + point + " ";
    const auto at = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.starts_with(start + from + " ");
    });
    if (at == lines.end()) throw std::runtime_error("not there to be changed: " + start + from);
    at->replace(start.size(), from.size(), to);
  }
}

Lines changed(const Lines& lines, const Lines& changes) {
  Lines out = lines;
  auto at = out.end();
  for (const std::string& change : changes) {
    if (change.empty() || change.starts_with('#')) continue;
    const std::string line = change.substr(2);
    if (change.starts_with("~ ")) {
      change_types(out, line);
      continue;
    }
    if (change.starts_with("+ ")) {
      at = out.insert(at, line) + 1;
      continue;
    }
    at = std::find(out.begin(), out.end(), line);
    if (at == out.end()) throw std::runtime_error("not there to be changed: " + line);
    at = change.starts_with("- ") ? out.erase(at) : at + 1;
  }
  return out;
}

std::string line_differences(const Lines& said, const Lines& reviewed) {
  std::multiset<std::string> missing(reviewed.begin(), reviewed.end());
  std::string out;
  for (const std::string& line : said) {
    const auto at = missing.find(line);
    if (at == missing.end()) {
      out += "+ " + line + "\n";
    } else {
      missing.erase(at);
    }
  }
  for (const std::string& line : missing) out += "- " + line + "\n";
  if (out.empty() && said != reviewed) out = "the same lines in another order\n";
  return out;
}

}  // namespace

std::string posture_differences(const std::string& said, const Reviewed& reviewed) {
  const Said now = split(said, reviewed.host_network);
  Lines expected = lines_of(text_of(golden(reviewed.name)));
  for (const std::string& change : reviewed.changes)
    expected = changed(expected, lines_of(text_of(golden(change))));
  std::erase_if(expected, is_of_another_host);
  FileGroups groups = {{text_of(golden("proc"))}, reviewed.host_network};
  if (reviewed.host_network) groups.reviewed.push_back(text_of(golden("proc_build")));
  return line_differences(now.others, expected) + file_differences(now.files, groups);
}

void update_posture(const std::string& said, const Reviewed& reviewed) {
  const std::string path = golden(reviewed.name);
  Lines kept = fs::exists(path) ? lines_of(text_of(path)) : Lines();
  std::erase_if(kept, [](const std::string& line) { return !is_of_another_host(line); });
  Lines lines = split(said, reviewed.host_network).others;
  const auto is_mount = [](const std::string& line) { return line.starts_with("mount "); };
  lines.insert(std::find_if(lines.begin(), lines.end(), is_mount), kept.begin(), kept.end());
  const auto first = std::find_if(lines.begin(), lines.end(), is_mount);
  std::sort(first, std::find_if_not(first, lines.end(), is_mount));
  std::ofstream out(path);
  for (const std::string& line : lines) out << line << "\n";
}

}  // namespace tare::testing
