#include "snapshot/layer_store.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "snapshot/layer_mark.h"
#include "snapshot/tree_sync.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/memfd.h"
#include "sys/sync_many.h"

namespace tare::snapshot {

namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY;
constexpr std::string_view kRoot = "root";
constexpr std::string_view kManifest = "manifest";
constexpr std::size_t kHexBytes = 64;
constexpr std::size_t kStagingNameBytes = 32;  // hexadecimal (service.cpp)

std::string hex_of(const std::string& digest) {
  CHECK(is_digest(digest));
  return digest.substr(digest.size() - kHexBytes);
}

Result<sys::UniqueFd> folder_below(int dir, const std::string& name, unsigned mode, uid_t uid,
                                   gid_t gid) {
  TRY(sys::ensure_dir_at(dir, name, mode));
  sys::UniqueFd fd = TRY(sys::open_beneath(dir, name, kFolder));
  TRY(sys::own_fd(fd.get(), uid, gid));
  TRY(sys::chmod_fd(fd.get(), mode));
  return fd;
}

// What lies beside a layer's name is a layer, whole or damaged.
bool has_form_of_layer(int folder) {
  return sys::exists_at(folder, kRoot) && sys::exists_at(folder, kManifest);
}

bool is_staging_name(std::string_view name) {
  return name.size() == kStagingNameBytes &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Of a staged layer: what another layer has made durable already.
DurableFiles durable_of(const KnownContents* known) {
  DurableFiles durable;
  if (known == nullptr) return durable;
  for (const auto& [path, content] : known->files) durable.insert(std::string(kRoot) + "/" + path);
  return durable;
}

Result<ManifestSummary> tail_of(int layer) {
  const sys::UniqueFd fd = TRY(sys::open_beneath(layer, kManifest, O_RDONLY));
  const auto size = static_cast<std::uint64_t>(TRY(sys::stat_fd(fd.get())).st_size);
  std::string tail(std::min<std::uint64_t>(size, kManifestTailBytes), '\0');
  const auto into = std::as_writable_bytes(std::span(tail));
  if (TRY(sys::read_at(fd.get(), into, size - tail.size())) != tail.size()) {
    return Error{Errc::internal, "manifest: short read"};
  }
  return parse_manifest_tail(tail);
}

}  // namespace

Result<LayerStore> LayerStore::open(int home, uid_t user_uid, gid_t user_gid) {
  LayerStore store;
  store.user_uid_ = user_uid;
  store.user_gid_ = user_gid;
  store.store_ = TRY(folder_below(home, "store", 0700, 0, 0).context("store"));
  store.layers_ = TRY(
      folder_below(store.store_.get(), "layers", 0700, 0, 0).context("store/layers"));
  store.staging_ = TRY(
      folder_below(store.store_.get(), "staging", 0700, 0, 0).context("store/staging"));
  store.runs_ = TRY(folder_below(home, "runs", 0700, user_uid, user_gid).context("runs"));
  const int made_in[] = {store.store_.get(), home};
  TRY(sys::sync_fds(made_in).context("home"));
  return store;
}

Result<> LayerStore::lock(std::uint64_t wait_ms) {
  constexpr int kStepMs = 20;
  sys::UniqueFd fd = TRY(sys::open_at(store_.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  for (std::uint64_t waited_ms = 0;; waited_ms += kStepMs) {
    if (TRY(sys::try_lock_exclusive(fd.get()))) {
      lock_ = std::move(fd);
      return ok();
    }
    if (waited_ms >= wait_ms)
      return Error{Errc::unavailable, "another tare-store runs with this home"};
    (void)::poll(nullptr, 0, kStepMs);
  }
}

Result<std::size_t> LayerStore::sweep() const {
  const auto names = TRY(sys::list_dir(staging_.get(), "."));
  for (const std::string& name : names) TRY(discard(name).context("sweep staging"));
  return names.size();
}

Result<sys::UniqueFd> LayerStore::stage(const std::string& name) const {
  TRY(sys::make_dir_at(staging_.get(), name, 0700));
  return sys::open_beneath(staging_.get(), name, kFolder);
}

Result<> LayerStore::discard(const std::string& name) const {
  return sys::remove_tree_at(staging_.get(), name);
}

Result<Imported> LayerStore::publish(const std::string& name, const OnProgress& progress,
                                     const Conditions& conditions) const {
  return publish_in(staging_.get(), name, progress, conditions);
}

Result<Imported> LayerStore::publish_part(const std::string& name, const std::string& part,
                                          const OnProgress& progress,
                                          const Conditions& conditions) const {
  const sys::UniqueFd stage = TRY(sys::open_beneath(staging_.get(), name, kFolder));
  return publish_in(stage.get(), part, progress, conditions);
}

Result<Imported> LayerStore::publish_in(int folder, const std::string& name,
                                        const OnProgress& progress,
                                        const Conditions& conditions) const {
  const sys::UniqueFd stage = TRY(sys::open_beneath(folder, name, kFolder));
  if (TRY(sys::list_dir(stage.get(), ".")) != std::vector{std::string(kRoot)})
    return Error{Errc::internal, "staging " + name + ": more than a tree lies there"};
  ManifestSummary summary;
  {
    const sys::UniqueFd root = TRY(sys::open_beneath(stage.get(), kRoot, kFolder));
    const sys::UniqueFd file = TRY(
        sys::open_at(stage.get(), kManifest, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    const auto sink = [&](std::string_view text) { return sys::write_all(file.get(), text); };
    summary = TRY(
        write_manifest_of(root.get(), sink, progress, conditions.secrets, conditions.known));
  }
  if (conditions.expected != nullptr && summary.digest != *conditions.expected)
    return Error{Errc::invalid, "a layer is not as its manifest says: see `tare env verify`"};
  Imported imported;
  imported.layer = LayerInfo{digest_text(summary.digest), summary.entries, summary.bytes};
  const std::string hex = hex_of(imported.layer.digest);
  const Sha256Digest searched = conditions.secrets == nullptr ? Sha256Digest{}
                                                              : conditions.secrets->set;
  mark(stage.get(), imported.layer.digest, searched);
  const bool there = sys::exists_at(layers_.get(), hex);
  // Of the known layer, what was linked was just compared, and nothing else.
  const bool known = conditions.known != nullptr &&
                     conditions.known->layer == imported.layer.digest;
  imported.reused = there && TRY(is_sound(imported.layer.digest, progress,
                                          known ? conditions.known : nullptr));
  if (!imported.reused) {
    TRY(sync_tree(stage.get(), summary.entries, durable_of(conditions.known)));
    auto placed = put_in_place(folder, name, hex, there);
    // Somebody imported the same meanwhile: theirs is as good.
    imported.reused = !placed && (placed.error().sys == ENOTEMPTY || placed.error().sys == EEXIST);
    if (!placed && !imported.reused) return std::move(placed).error();
  }
  // Also for a layer that was there: who has just made it may not have come so far yet, or not have
  // lived to do it.
  const int folders[] = {layers_.get(), folder, staging_.get()};
  TRY(sys::sync_fds(std::span(folders).first(folder == staging_.get() ? 2 : 3)));
  if (imported.reused) {
    mark(TRY(open_layer(imported.layer.digest)).get(), imported.layer.digest, searched);
    TRY(sys::remove_tree_at(folder, name));
  }
  return imported;
}

Result<bool> LayerStore::is_sound(const std::string& digest, const OnProgress& progress,
                                  const KnownContents* known) const {
  auto verified = verify(digest, progress, known);
  if (verified) return verified->intact;
  if (verified.error().code != Errc::not_found) return std::move(verified).error();
  return Error{Errc::conflict,
               "store/layers/" + hex_of(digest) + " is there, and no folder: move it away first"};
}

// The damaged one gets a name of its own: what is left of a job is removed when it is done.
Result<> LayerStore::put_in_place(int folder, const std::string& name, const std::string& hex,
                                  bool damaged_there) const {
  if (!damaged_there) return sys::rename_at(folder, name, layers_.get(), hex);
  TRY(sys::exchange_at(folder, name, layers_.get(), hex));
  const int both[] = {layers_.get(), folder};
  TRY(sys::sync_fds(both));
  const struct stat old = TRY(sys::stat_at(folder, name));
  const std::string aside = to_hex(sha256("damaged " + hex + " " + std::to_string(old.st_ino)));
  return sys::rename_at(folder, name, staging_.get(), aside.substr(0, kStagingNameBytes));
}

Result<sys::UniqueFd> LayerStore::open_layer(const std::string& digest) const {
  auto layer = sys::open_beneath(layers_.get(), hex_of(digest), kFolder | O_NOFOLLOW);
  if (layer) return layer;
  const int number = layer.error().sys;
  if (number == ENOTDIR || number == ELOOP)
    return Error{Errc::not_found, "layer " + digest + " is a file or a link, and no folder"};
  if (number != ENOENT) return layer;
  return Error{Errc::not_found, "layer " + digest + " is not in the store"};
}

bool LayerStore::is_searched(const std::string& digest, const Sha256Digest& set) const {
  const auto layer = open_layer(digest);
  return layer && is_marked(layer->get(), digest, set);
}

Result<sys::UniqueFd> LayerStore::root_of(const std::string& digest) const {
  return sys::open_beneath(TRY(open_layer(digest)).get(), kRoot, kFolder);
}

Result<LayerInfo> LayerStore::stat(const std::string& digest) const {
  const sys::UniqueFd layer = TRY(open_layer(digest));
  if (!has_form_of_layer(layer.get()))
    return Error{Errc::not_found, "layer " + digest + " has lost its root or its manifest"};
  const ManifestSummary summary = TRY(tail_of(layer.get()).context("layer " + digest));
  return LayerInfo{digest, summary.entries, summary.bytes};
}

Result<LayerPage> LayerStore::list(const std::string& after) const {
  auto names = TRY(sys::list_dir(layers_.get(), "."));
  std::sort(names.begin(), names.end());
  LayerPage page;
  for (const std::string& name : names) {
    const std::string digest = "sha256:" + name;
    if (!is_digest(digest) || digest <= after) continue;
    page.more = page.layers.size() == kMaxLayersPerPage;
    if (page.more) break;
    auto layer = stat(digest);
    if (!layer && layer.error().code == Errc::not_found) continue;  // removed since, or a stray
    page.layers.push_back(layer ? *layer : LayerInfo{digest, 0, 0});
  }
  return page;
}

Result<bool> LayerStore::is_stray_in_layers(const std::string& name) const {
  if (!is_digest("sha256:" + name)) return true;
  const auto folder = sys::open_beneath(layers_.get(), name, kFolder | O_NOFOLLOW);
  if (!folder) return folder.error().sys != ENOENT;  // removed since
  return !has_form_of_layer(folder->get());
}

Result<Strays> LayerStore::strays() const {
  Strays found;
  const auto add = [&](std::string path) {
    if (++found.total <= kMaxListedStrays) found.paths.push_back(std::move(path));
  };
  const auto sorted = [](int folder) -> Result<std::vector<std::string>> {
    auto names = TRY(sys::list_dir(folder, "."));
    std::sort(names.begin(), names.end());
    return names;
  };
  for (const std::string& name : TRY(sorted(store_.get()))) {
    if (name != "lock" && name != "layers" && name != "staging") add(name);
  }
  for (const std::string& name : TRY(sorted(layers_.get()))) {
    if (TRY(is_stray_in_layers(name))) add("layers/" + name);
  }
  for (const std::string& name : TRY(sorted(staging_.get()))) {
    if (!is_staging_name(name)) add("staging/" + name);
  }
  return found;
}

// ---- Verification
// ---------------------------------------------------------------------------------------------

namespace {

std::string_view next_line(std::string_view& text) {
  const std::size_t newline = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, newline);
  text.remove_prefix(std::min(newline + 1, text.size()));
  return line;
}

// Two manifests that differ, as text: the first line that does, in both spellings.
std::string first_difference(std::string_view kept, std::string_view found) {
  constexpr std::size_t kMaxLine = 2000;
  for (;;) {
    if (kept.empty() && found.empty()) return "the layer is not the one its digest names";
    const std::string_view a = next_line(kept);
    const std::string_view b = next_line(found);
    if (a != b) {
      return "the manifest says \"" + std::string(a.substr(0, kMaxLine)) + "\", on disk is \"" +
             std::string(b.substr(0, kMaxLine)) + "\"";
    }
  }
}

// What lies in a layer's folder beside the two that belong there, in words; empty when nothing
// does.
Result<std::string> stranger_in(int layer) {
  for (const std::string& name : TRY(sys::list_dir(layer, "."))) {
    if (name != kRoot && name != kManifest && name != kMarkFile)
      return "the layer's folder has " + quote(name) + ", which does not belong there";
  }
  return std::string();
}

}  // namespace

Result<Verified> LayerStore::verify(const std::string& digest, const OnProgress& progress,
                                    const KnownContents* known) const {
  const sys::UniqueFd layer = TRY(open_layer(digest));
  Verified verified;
  auto kept = sys::read_file_at(layer.get(), kManifest, kMaxManifestBytes);
  if (!kept) return Verified{false, "the manifest cannot be read: " + kept.error().message};
  auto root = sys::open_beneath(layer.get(), kRoot, kFolder);
  if (!root) return Verified{false, "the folder root cannot be read: " + root.error().message};
  std::string found;
  const auto sink = [&](std::string_view text) {
    found += text;
    return ok();
  };
  auto summary = write_manifest_of(root->get(), sink, progress, nullptr, known);
  if (!summary) {
    if (summary.error().code != Errc::invalid) return std::move(summary).error();
    return Verified{false, summary.error().message};
  }
  verified.intact = digest_text(summary->digest) == digest && *kept == found;
  if (!verified.intact) {
    verified.difference = first_difference(*kept, found);
    return verified;
  }
  verified.difference = TRY(stranger_in(layer.get()));
  verified.intact = verified.difference.empty();
  return verified;
}

// ---- Reading

Result<sys::UniqueFd> LayerStore::open_manifest(const std::string& digest) const {
  const sys::UniqueFd layer = TRY(open_layer(digest));
  return sys::open_beneath(layer.get(), kManifest, O_RDONLY | O_NOFOLLOW);
}

Result<sys::UniqueFd> LayerStore::copy_file(const std::string& digest,
                                            const std::string& path) const {
  const sys::UniqueFd layer = TRY(open_layer(digest));
  const sys::UniqueFd root = TRY(sys::open_beneath(layer.get(), kRoot, kFolder));
  auto file = sys::open_beneath(root.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const auto refuse = [&](std::string_view why) {
    return Error{Errc::not_found, quote(path) + " of layer " + digest + " " + std::string(why)};
  };
  if (!file) {
    const int number = file.error().sys;
    if (number == ENOENT) return refuse("is not there");
    if (number == ELOOP || number == ENOTDIR) return refuse("lies behind a link or a file");
    return std::move(file).error();
  }
  const struct stat status = TRY(sys::stat_fd(file->get()));
  if (!S_ISREG(status.st_mode)) return refuse("is not a regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kMaxOpenedFileBytes)
    return Error{Errc::exhausted, quote(path) + " is larger than what is read of one file"};
  std::string content(size, '\0');
  if (TRY(sys::read_at(file->get(), std::as_writable_bytes(std::span(content)), 0)) != size)
    return Error{Errc::internal, quote(path) + ": short read"};
  return sys::sealed_memfd("layer-file", content, false);
}

Result<> LayerStore::remove(const std::string& digest, const std::string& name) const {
  auto renamed = sys::rename_at(layers_.get(), hex_of(digest), staging_.get(), name);
  if (!renamed) {
    if (renamed.error().sys != ENOENT) return std::move(renamed).error();
    return Error{Errc::not_found, "layer " + digest + " is not in the store"};
  }
  TRY(sys::sync_fd(layers_.get()));
  return discard(name);
}

}  // namespace tare::snapshot
