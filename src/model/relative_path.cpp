#include "model/relative_path.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/core.h>

#include "base/limits.h"
#include "base/text.h"

namespace tare::model {

namespace {

bool is_control(char c) {
  const auto code = static_cast<unsigned char>(c);
  return code < 0x20 || code == 0x7F;
}

// Why the name cannot be one component of a path; empty when it can.
std::string_view fault_of(std::string_view name) {
  if (name.empty()) return "has an empty name between slashes, at its start or at its end";
  if (name == "." || name == "..") return "must not hold the names . and ..";
  if (name.size() > kMaxPathComponentBytes) return "holds a name of more than 255 bytes";
  return {};
}

}  // namespace

Result<> check_relative_path(std::string_view field, std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return field_error(field, fmt::format("{} {}", quote(path), why));
  };
  if (path.empty()) return field_error(field, "must not be empty");
  if (path.size() > kMaxPathBytes) {
    return refuse(fmt::format("is longer than {} bytes", kMaxPathBytes));
  }
  if (path.front() == '/') return refuse("must be relative, without a leading slash");
  if (std::any_of(path.begin(), path.end(), is_control)) return refuse("holds a control character");
  if (!is_utf8(path)) return refuse("is not valid UTF-8");
  std::size_t names = 0;
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    if (const std::string_view fault = fault_of(rest.substr(0, slash)); !fault.empty()) {
      return refuse(fault);
    }
    if (++names > kMaxPathComponents) {
      return refuse(fmt::format("is more than {} names deep", kMaxPathComponents));
    }
    if (slash == std::string_view::npos) return ok();
    rest.remove_prefix(slash + 1);
  }
}

std::optional<PathClash> find_path_clash(const std::vector<std::string_view>& paths) {
  const auto clash = [](std::size_t a, std::size_t b, bool same) {
    return PathClash{std::min(a, b), std::max(a, b), same};
  };
  std::unordered_map<std::string_view, std::size_t> index_of;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto [found, added] = index_of.emplace(paths[i], i);
    if (!added) return clash(found->second, i, true);
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::string_view path = paths[i];
    for (std::size_t at = path.find('/'); at != std::string_view::npos;
         at = path.find('/', at + 1)) {
      const auto found = index_of.find(path.substr(0, at));
      if (found != index_of.end()) return clash(found->second, i, false);
    }
  }
  return std::nullopt;
}

}  // namespace tare::model
