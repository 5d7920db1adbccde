#include "snapshot/package_lists.h"

#include <algorithm>
#include <cctype>

#include <fmt/core.h>

#include "base/text.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kMaxPackageNameBytes = 128;
constexpr std::size_t kMaxArchitectureBytes = 64;

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

bool is_version(std::string_view text) {
  return !text.empty() && text.size() <= kMaxPackageVersionBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_alnum(c) || std::string_view(".+-~:!_").find(c) != std::string_view::npos;
         });
}

// Debian Policy 5.6.1.
bool is_package(std::string_view text) {
  return text.size() >= 2 && text.size() <= kMaxPackageNameBytes && is_alnum(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; });
}

bool is_architecture(std::string_view text) {
  return text.size() <= kMaxArchitectureBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

struct Paragraph {
  std::string_view package, version, status, architecture;
};

// One field's place in the paragraph; null for those that are passed over.
std::string_view* place_of(std::string_view field, Paragraph& paragraph) {
  if (field == "Package") return &paragraph.package;
  if (field == "Version") return &paragraph.version;
  if (field == "Status") return &paragraph.status;
  if (field == "Architecture") return &paragraph.architecture;
  return nullptr;
}

Result<> take_line(std::string_view line, Paragraph& paragraph) {
  if (line.front() == ' ' || line.front() == '\t') return ok();  // goes on with the field above
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return Error{Errc::invalid, "it is neither `Field: value` nor a continuation"};
  std::string_view* const place = place_of(line.substr(0, colon), paragraph);
  if (place == nullptr) return ok();
  if (!place->empty()) return Error{Errc::invalid, "the field is there twice"};
  *place = trimmed(line.substr(colon + 1));
  return ok();
}

class Installed {
 public:
  Result<> add(const Paragraph& paragraph) {
    if (paragraph.package.empty()) return Error{Errc::invalid, "a paragraph without Package"};
    // "install ok installed": what is wanted, whether it is whole, what it is.
    const bool there = paragraph.status.ends_with(" installed");
    if (!there) return ok();
    if (!is_package(paragraph.package))
      return Error{Errc::invalid, quote(paragraph.package) + " is not the name of a package"};
    if (!is_version(paragraph.version))
      return Error{Errc::invalid, quote(paragraph.version) + " is not a version"};
    if (!is_architecture(paragraph.architecture))
      return Error{Errc::invalid, quote(paragraph.architecture) + " is not an architecture"};
    if (++count_ > kMaxPackages) return Error{Errc::invalid, "too many packages"};
    auto& versions = packages_[std::string(paragraph.package)];
    if (!versions.try_emplace(std::string(paragraph.architecture), paragraph.version).second)
      return Error{Errc::invalid, quote(paragraph.package) + " is there twice"};
    return ok();
  }
  PackageList list() const {
    PackageList out;
    for (const auto& [name, versions] : packages_) {
      for (const auto& [architecture, version] : versions)
        out[versions.size() == 1 ? name : name + ":" + architecture] = version;
    }
    return out;
  }

 private:
  std::map<std::string, std::map<std::string, std::string>> packages_;  // by architecture
  std::size_t count_ = 0;
};

}  // namespace

Result<PackageList> parse_dpkg_status(std::string_view text) {
  Installed installed;
  Paragraph paragraph;
  bool inside = false;
  for (std::size_t number = 1; !text.empty() || inside; ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool blank = trimmed(line).empty();
    auto taken = ok();
    if (!blank) taken = take_line(line, paragraph);
    if (blank && inside) {
      taken = installed.add(paragraph);
      paragraph = {};
    }
    if (!taken)
      return std::move(taken).error().context(fmt::format("{} line {}", kDpkgStatusPath, number));
    inside = !blank;
  }
  return installed.list();
}

PackageList python_packages(const SeenTree& tree) {
  constexpr std::string_view kEnd = ".dist-info/METADATA";
  PackageList list;
  for (const auto& [path, entry] : tree) {
    if (entry.type != EntryType::file || !path.ends_with(kEnd)) continue;
    std::string_view folder = std::string_view(path).substr(0, path.size() - kEnd.size());
    folder.remove_prefix(folder.rfind('/') == std::string_view::npos ? 0 : folder.rfind('/') + 1);
    const std::size_t dash = folder.rfind('-');
    if (dash == std::string_view::npos || dash == 0) continue;
    const std::string_view version = folder.substr(dash + 1);
    std::string name;
    for (const char c : folder.substr(0, dash)) {
      const bool separator = c == '-' || c == '_' || c == '.';
      if (!separator && !is_alnum(c)) name.clear();
      if (!separator && !is_alnum(c)) break;
      if (separator && name.ends_with('-')) continue;
      name += separator ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (name.empty() || !is_version(version)) continue;
    std::string& versions = list[name];
    versions += (versions.empty() ? "" : ", ") + std::string(version);
  }
  return list;
}

std::vector<PackageChange> diff_packages(const PackageList& before, const PackageList& after) {
  std::vector<PackageChange> changes;
  for (const auto& [name, version] : before) {
    const auto now = after.find(name);
    if (now == after.end()) changes.push_back({name, version, {}});
    if (now != after.end() && now->second != version)
      changes.push_back({name, version, now->second});
  }
  for (const auto& [name, version] : after) {
    if (!before.contains(name)) changes.push_back({name, {}, version});
  }
  std::sort(changes.begin(), changes.end(),
            [](const PackageChange& a, const PackageChange& b) { return a.name < b.name; });
  return changes;
}

}  // namespace tare::snapshot
