#include "support/posture_files.h"

#include <fnmatch.h>
#include <glob.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "sys/files.h"
#include "sys/fork.h"

namespace tare::testing {

namespace {

// A right and a path: said, or reviewed (then a pattern).
struct Entry {
  std::string right, path;
  bool must = true;

  auto operator<=>(const Entry&) const = default;
  std::string text() const { return right + " " + path; }
};

// "RIGHT FOLDER...: NAME..."
void parse(const std::string& line, std::vector<Entry>& entries) {
  const std::size_t colon = line.find(": ");
  if (colon == std::string::npos) throw std::runtime_error("no ': ' in: " + line);
  std::istringstream head(line.substr(0, colon));
  std::string right;
  head >> right;
  for (std::string folder; head >> folder;) {
    std::istringstream names(line.substr(colon + 2));
    for (std::string name; names >> name;) {
      const bool must = !name.ends_with('?');
      if (!must) name.pop_back();
      entries.push_back({right, (folder == "/" ? "" : folder) + "/" + name, must});
    }
  }
}

std::vector<Entry> parse_reviewed(const std::string& text) {
  std::vector<Entry> entries;
  std::istringstream lines(text);
  std::string line;
  std::string group;
  bool reasoned = false;
  const auto finish = [&] {
    if (!group.empty() && !reasoned) throw std::runtime_error("no reason is given for: " + group);
    if (!group.empty()) parse(group, entries);
    group.clear();
  };
  while (std::getline(lines, line)) {
    if (line.starts_with(' ')) {
      group += line;
      continue;
    }
    finish();
    if (line.empty()) reasoned = false;
    if (line.starts_with('#')) reasoned = true;
    if (!line.starts_with('#')) group = line;
  }
  finish();
  return entries;
}

bool matches(const Entry& reviewed, const Entry& said) {
  const bool right = reviewed.right == said.right ||
                     (reviewed.right == "open" && said.right == "read");
  return right &&
         ::fnmatch(reviewed.path.c_str(), said.path.c_str(), FNM_PATHNAME | FNM_NOESCAPE) == 0;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.replace(at, what.size(), by);
}

bool kernel_has(std::string pattern) {
  replace_all(pattern, "<pid>", "self");
  replace_all(pattern, "<tid>", "*");
  replace_all(pattern, "<n>", "[0-9]*");
  glob_t found = {};
  const bool has = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0;
  ::globfree(&found);
  return has;
}

// Which of them this kernel has, for a process in namespaces as a sandbox's: '1' or '0' for each.
std::string kernels_own(const std::vector<Entry>& entries, bool host_network) {
  auto pipe = sys::make_pipe();
  if (!pipe) throw std::runtime_error(pipe.error().message);
  auto child = sys::fork_child();
  if (!child) throw std::runtime_error(child.error().message);
  if (!child->valid()) {
    const int kinds = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                      (host_network ? 0 : CLONE_NEWNET);
    std::string has;
    if (::unshare(kinds) != 0) ::_exit(1);
    for (const Entry& entry : entries) has += kernel_has(entry.path) ? '1' : '0';
    ::_exit(sys::write_all(pipe->write.get(), has) ? 0 : 1);
  }
  pipe->write.reset();
  auto has = sys::read_all(pipe->read.get(), std::size_t{1} << 20);
  if (!has || has->size() != entries.size())
    throw std::runtime_error("namespaces as a sandbox's could not be made");
  return *has;
}

}  // namespace

std::string file_differences(const std::vector<std::string>& lines, const FileGroups& groups) {
  std::vector<Entry> said;
  for (const std::string& line : lines) parse(line.substr(line.find(' ') + 1), said);
  std::vector<Entry> reviewed;
  for (const std::string& text : groups.reviewed) {
    const std::vector<Entry> more = parse_reviewed(text);
    reviewed.insert(reviewed.end(), more.begin(), more.end());
  }
  std::string out;
  std::vector<bool> seen(reviewed.size());
  for (const Entry& entry : said) {
    bool known = false;
    for (std::size_t i = 0; i < reviewed.size(); ++i) {
      if (!matches(reviewed[i], entry)) continue;
      known = seen[i] = true;
    }
    if (!known) out += "+ file " + entry.text() + "   (not reviewed)\n";
  }
  const std::string has = kernels_own(reviewed, groups.host_network);
  for (std::size_t i = 0; i < reviewed.size(); ++i) {
    if (!seen[i] && reviewed[i].must && has[i] == '1')
      out += "- file " + reviewed[i].text() + "   (reviewed, in the kernel, not so inside)\n";
  }
  return out;
}

}  // namespace tare::testing
