// What is different between two environments: their layers' manifests, merged and compared, and the
// lists of packages where there are some.
//
// Owner: one request, on its fiber; the comparing is done on a thread of the Offload. Errors:
// Errc::invalid for one without layers; exhausted above kMaxDiffManifestBytes; those of the store.
// A list of packages that cannot be read is not told, and why not is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fiber/context.h"
#include "fiber/offload.h"
#include "host/store_link.h"
#include "model/environment.h"
#include "snapshot/merged_tree.h"
#include "snapshot/package_lists.h"
#include "snapshot/tree_diff.h"
#include "sys/fd.h"

namespace tare::host {

// Of the manifests of one environment: about half a million entries.
inline constexpr std::uint64_t kMaxDiffManifestBytes = std::uint64_t{64} << 20;

// Of these layers; and what they show together, lowest first. merge_manifests() may wait for the
// disk.
Result<std::vector<sys::UniqueFd>> open_manifests(const std::vector<std::string>& layers,
                                                  StoreLink& store, const fiber::Context& ctx);
Result<snapshot::MergedTree> merge_manifests(const std::vector<sys::UniqueFd>& manifests);

struct EnvironmentDiff {
  std::vector<snapshot::TreeChange> changes;
  std::optional<std::vector<snapshot::PackageChange>> debian;  // when both have dpkg's list
  std::vector<snapshot::PackageChange> python;
  std::vector<std::string> notes;  // what could not be told
};

Result<EnvironmentDiff> diff_environments(const model::Environment& before,
                                          const model::Environment& after, StoreLink& store,
                                          fiber::Offload& offload, const fiber::Context& ctx);

}  // namespace tare::host
