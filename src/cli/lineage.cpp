#include "cli/lineage.h"

#include <algorithm>
#include <map>

#include <fmt/core.h>

#include "base/bytes.h"
#include "cli/render.h"

namespace tare::cli {
namespace {

using Layers = std::vector<std::string>;

// Of how many layers the longest of the others is that this one stands on; 0: of none.
std::size_t parent_of(const Layers& layers, const std::map<Layers, Ancestor>& all) {
  for (std::size_t count = layers.size(); --count > 0;) {
    if (all.contains(Layers(layers.begin(), layers.begin() + static_cast<std::ptrdiff_t>(count))))
      return count;
  }
  return 0;
}

void sort_by_name(std::vector<Ancestor>& list) {
  std::sort(list.begin(), list.end(),
            [](const Ancestor& a, const Ancestor& b) { return a.names < b.names; });
}

void add_lines(const std::vector<Ancestor>& list, const std::string& before, bool roots,
               std::string& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Ancestor& one = list[i];
    const bool last = i + 1 == list.size();
    std::string names;
    for (const std::string& name : one.names)
      names += (names.empty() ? "" : ", ") + printable(name, 60);
    out += fmt::format("{}{}{}  {}  {}\n", before,
                       roots  ? ""
                       : last ? "`- "
                              : "|- ",
                       names, printable(one.digest.substr(0, 19)),
                       format_size_rounded(one.size_bytes));
    add_lines(one.children, roots ? "" : before + (last ? "   " : "|  "), false, out);
  }
}

}  // namespace

std::vector<Ancestor> lineage(const JsonArray& environments) {
  std::map<Layers, Ancestor> all;
  for (const Json& environment : environments) {
    Layers layers;
    for (const Json& layer : array_at(environment, "layers"))
      layers.push_back(layer.is_string() ? std::string(layer.get_string()) : std::string());
    if (layers.empty()) continue;
    Ancestor& one = all[layers];
    one.layers = layers;
    one.digest = text_at(environment, {"digest"});
    one.size_bytes = number_at(environment, {"size_bytes"});
    one.names.push_back(text_at(environment, {"name"}));
  }
  // The longest first: whoever is handed to its parent has all of its own children.
  std::vector<Layers> keys;
  for (auto& [layers, one] : all) {
    std::sort(one.names.begin(), one.names.end());
    keys.push_back(layers);
  }
  std::stable_sort(keys.begin(), keys.end(),
                   [](const Layers& a, const Layers& b) { return a.size() > b.size(); });
  std::vector<Ancestor> roots;
  for (const Layers& layers : keys) {
    const std::size_t parent = parent_of(layers, all);
    Ancestor& one = all.at(layers);
    sort_by_name(one.children);
    auto& home = parent == 0 ? roots
                             : all.at(Layers(layers.begin(),
                                             layers.begin() + static_cast<std::ptrdiff_t>(parent)))
                                   .children;
    home.push_back(std::move(one));
  }
  sort_by_name(roots);
  return roots;
}

std::string lineage_text(const std::vector<Ancestor>& roots) {
  std::string out;
  add_lines(roots, "", true, out);
  return out;
}

JsonArray lineage_json(const std::vector<Ancestor>& roots) {
  JsonArray out;
  for (const Ancestor& one : roots) {
    out.push_back(JsonObject{{"names", text_list(one.names)},
                             {"digest", one.digest},
                             {"layers", one.layers.size()},
                             {"size_bytes", one.size_bytes},
                             {"children", lineage_json(one.children)}});
  }
  return out;
}

}  // namespace tare::cli
