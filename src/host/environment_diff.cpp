#include "host/environment_diff.h"

#include "base/text.h"
#include "sys/files.h"

namespace tare::host {

namespace {

Result<std::string> read_whole(int fd, std::uint64_t size) {
  std::string text(size, '\0');
  if (TRY(sys::read_at(fd, std::as_writable_bytes(std::span(text)), 0)) != size)
    return Error{Errc::internal, "short read"};
  return text;
}

struct Side {
  std::vector<sys::UniqueFd> manifests;  // lowest first
  snapshot::MergedTree merged;
  snapshot::SeenTree seen;
};

Result<Side> open_side(const model::Environment& environment, StoreLink& store,
                       const fiber::Context& ctx) {
  if (environment.state != model::EnvironmentState::ready || environment.layers.empty()) {
    return Error{Errc::invalid,
                 "environment " + quote(environment.name) + " has no layers: nothing to compare"};
  }
  Side side;
  side.manifests = TRY(open_manifests(environment.layers, store, ctx));
  return side;
}

// On a thread that may wait for the disk.
Result<> merge(Side& side) {
  side.merged = TRY(merge_manifests(side.manifests));
  side.seen = side.merged.seen();
  return ok();
}

// nullopt: it has none.
Result<std::optional<snapshot::PackageList>> debian_packages(const model::Environment& environment,
                                                             const Side& side, StoreLink& store,
                                                             const fiber::Context& ctx) {
  const auto found = side.seen.find(snapshot::kDpkgStatusPath);
  if (found == side.seen.end() || found->second.type != snapshot::EntryType::file)
    return std::optional<snapshot::PackageList>();
  const auto layer = static_cast<std::size_t>(side.merged.layer_of(found->first));
  const snapshot::OpenFile request{environment.layers[layer], found->first};
  const sys::UniqueFd file = TRY(store.open(request, ctx));
  return std::optional(
      TRY(snapshot::parse_dpkg_status(TRY(read_whole(file.get(), found->second.size)))));
}

}  // namespace

Result<std::vector<sys::UniqueFd>> open_manifests(const std::vector<std::string>& layers,
                                                  StoreLink& store, const fiber::Context& ctx) {
  std::vector<sys::UniqueFd> manifests;
  for (const std::string& digest : layers)
    manifests.push_back(TRY(store.open(snapshot::OpenManifest{digest}, ctx)));
  return manifests;
}

Result<snapshot::MergedTree> merge_manifests(const std::vector<sys::UniqueFd>& manifests) {
  snapshot::MergedTree merged;
  std::uint64_t left = kMaxDiffManifestBytes;
  for (const sys::UniqueFd& fd : manifests) {
    const auto size = static_cast<std::uint64_t>(TRY(sys::stat_fd(fd.get())).st_size);
    if (size > left)
      return Error{Errc::exhausted, "the environment has too many files to be looked through"};
    left -= size;
    merged.lay(TRY(snapshot::parse_manifest(TRY(read_whole(fd.get(), size)))));
  }
  return merged;
}

Result<EnvironmentDiff> diff_environments(const model::Environment& before,
                                          const model::Environment& after, StoreLink& store,
                                          fiber::Offload& offload, const fiber::Context& ctx) {
  Side a = TRY(open_side(before, store, ctx));
  Side b = TRY(open_side(after, store, ctx));
  EnvironmentDiff diff;
  TRY(offload.run(
      [&]() -> Result<> {
        TRY(merge(a).context(quote(before.name)));
        TRY(merge(b).context(quote(after.name)));
        diff.changes = snapshot::diff_trees(a.seen, b.seen);
        diff.python = snapshot::diff_packages(snapshot::python_packages(a.seen),
                                              snapshot::python_packages(b.seen));
        return ok();
      },
      ctx));
  const auto had = debian_packages(before, a, store, ctx);
  const auto has = debian_packages(after, b, store, ctx);
  for (const auto* side : {&had, &has}) {
    if (*side) continue;
    if (side->error().code != Errc::invalid && side->error().code != Errc::exhausted)
      return side->error();
    diff.notes.push_back("Debian's packages are not told: " + side->error().message);
  }
  if (had && has && *had && *has) diff.debian = snapshot::diff_packages(**had, **has);
  return diff;
}

}  // namespace tare::host
