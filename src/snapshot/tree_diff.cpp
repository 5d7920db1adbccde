#include "snapshot/tree_diff.h"

namespace tare::snapshot {

namespace {

std::vector<Aspect> differing(const ManifestEntry& a, const ManifestEntry& b) {
  if (a.type != b.type) return {Aspect::type};
  const bool is_link = a.type == EntryType::symlink;
  std::vector<Aspect> aspects;
  const auto compare = [&](bool same, Aspect aspect) {
    if (!same) aspects.push_back(aspect);
  };
  compare(a.size == b.size && a.content == b.content, Aspect::content);
  compare(!is_link || a.target == b.target, Aspect::target);
  compare(a.mode == b.mode, Aspect::mode);
  compare(a.uid == b.uid && a.gid == b.gid, Aspect::owner);
  compare(a.mtime_s == b.mtime_s, Aspect::time);
  compare(a.xattrs == b.xattrs, Aspect::attributes);
  compare(is_link || a.target == b.target, Aspect::names);
  return aspects;
}

}  // namespace

std::string_view to_string(Change change) {
  switch (change) {
    case Change::added: return "added";
    case Change::removed: return "removed";
    case Change::changed: return "changed";
  }
  return "changed";
}

std::string_view to_string(Aspect aspect) {
  switch (aspect) {
    case Aspect::type: return "type";
    case Aspect::content: return "content";
    case Aspect::target: return "target";
    case Aspect::mode: return "mode";
    case Aspect::owner: return "owner";
    case Aspect::time: return "time";
    case Aspect::attributes: return "attributes";
    case Aspect::names: return "names";
  }
  return "type";
}

std::vector<TreeChange> diff_trees(const SeenTree& before, const SeenTree& after) {
  std::vector<TreeChange> changes;
  auto a = before.begin();
  auto b = after.begin();
  while (a != before.end() || b != after.end()) {
    const bool only_a = b == after.end() ||
                        (a != before.end() && compare_entry_paths(a->first, b->first) < 0);
    const bool only_b = !only_a && (a == before.end() || a->first != b->first);
    if (only_a) {
      changes.push_back({Change::removed, {}, (a++)->second, std::nullopt});
    } else if (only_b) {
      changes.push_back({Change::added, {}, std::nullopt, (b++)->second});
    } else {
      auto aspects = differing(a->second, b->second);
      if (!aspects.empty())
        changes.push_back({Change::changed, std::move(aspects), a->second, b->second});
      ++a;
      ++b;
    }
  }
  return changes;
}

}  // namespace tare::snapshot
