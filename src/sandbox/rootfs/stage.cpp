#include "sandbox/rootfs/stage.h"

#include <fcntl.h>

#include "base/check.h"
#include "sandbox/plan/plan.h"
#include "sys/files.h"
#include "sys/mountfs.h"

namespace tare::sandbox {

namespace {

// Mounts that are only needed while the overlay is made: on 6.1 it accepts attached layers only.
class Attached {
 public:
  static Result<Attached> create(int mount, const std::string& path) {
    TRY(sys::ensure_dir_at(sys::kCwd, path, 0700));
    TRY(sys::attach_mount(mount, sys::kCwd, path));
    return Attached(path);
  }
  Attached(Attached&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  Attached& operator=(Attached&&) = delete;
  ~Attached() {
    if (!path_.empty()) (void)sys::unmount(path_, true);
  }
  const std::string& path() const { return path_; }

 private:
  explicit Attached(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// A tree of real-root-owned files, shown with the sandbox's ids. File systems without idmapped
// mounts (an overlay or a network file system as the host's root) show it with the overflow owner:
// readable all the same.
Result<sys::UniqueFd> shown_to(const Slot& slot, const std::string& path, bool read_only) {
  sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, path, false));
  auto mapped = sys::idmap_mount(tree.get(), slot.user_namespace);
  if (!mapped && mapped.error().sys != EINVAL) return std::move(mapped).error().context(path);
  if (read_only) TRY(sys::restrict_mount(tree.get(), {.read_only = true}, false));
  return tree;
}

std::vector<std::string> lower_paths(const StageParts& parts) {
  std::vector<std::string> lowers;  // highest first, as overlayfs wants them
  if (!parts.host_root) lowers.push_back(parts.skeleton->platform);
  for (auto digest = parts.layers.rbegin(); digest != parts.layers.rend(); ++digest) {
    CHECK(digest->starts_with("sha256:"));  // the protocol has checked it
    lowers.push_back(parts.layers_dir + "/" + digest->substr(7) + "/root");
  }
  if (parts.host_root) lowers.push_back(parts.skeleton->host);
  return lowers;
}

Result<sys::UniqueFd> make_overlay(const StageParts& parts, const std::string& scratch) {
  std::vector<Attached> lowers;
  std::string lower_option;
  for (const std::string& path : lower_paths(parts)) {
    const sys::UniqueFd tree = TRY(shown_to(*parts.slot, path, true).context("layer"));
    lowers.push_back(TRY(Attached::create(tree.get(), "/stage/" + std::to_string(lowers.size()))));
    if (!lower_option.empty()) lower_option += ':';
    lower_option += lowers.back().path();
  }
  sys::FsContext overlay = TRY(sys::FsContext::create("overlay"));
  TRY(overlay.set("lowerdir", lower_option));
  TRY(overlay.set("upperdir", scratch + "/upper"));
  TRY(overlay.set("workdir", scratch + "/work"));
  // Spelt out, as kernels differ in their defaults: a renamed lower folder is EXDEV (mv copies it),
  // and a layer that is made of an upper never refers to anything by xattr.
  for (const char* option : {"redirect_dir", "metacopy", "index", "xino"})
    TRY(overlay.set(option, "off"));
  sys::UniqueFd mount = TRY(overlay.mount({}));
  if (sys::is_read_only(mount.get())) {
    return Error{Errc::internal, "the kernel made the overlay read-only (see dmesg)"};
  }
  return mount;
}

Result<> bind_into_root(int tree, std::string_view at, const sys::MountFlags& flags) {
  TRY(sys::restrict_mount(tree, flags, false));
  return sys::attach_mount(tree, sys::kCwd, std::string(kStageRoot) + "/" + std::string(at))
      .context(at);
}

// What an environment build needs to reach the package registries by name.
Result<> show_network_files(const StageParts& parts) {
  for (const char* path : {"etc/resolv.conf", "etc/hosts", "etc/apt"}) {
    auto tree = shown_to(*parts.slot, parts.host + "/" + path, true);
    if (!tree && tree.error().code == Errc::not_found) continue;
    if (!tree) return std::move(tree).error();
    TRY(bind_into_root(tree->get(), path, {.read_only = true}));
  }
  return ok();
}

Result<> fill_root(const StageParts& parts, const std::string& scratch) {
  const sys::UniqueFd devices = TRY(sys::clone_tree(sys::kCwd, "/dev", false));
  TRY(bind_into_root(devices.get(), "dev", {.read_only = true, .nodev = false, .noexec = true}));
  if (parts.host_root) {
    for (const std::string& name : parts.skeleton->host_dirs) {
      const sys::UniqueFd tree = TRY(shown_to(*parts.slot, parts.host + "/" + name, true));
      TRY(bind_into_root(tree.get(), name, {.read_only = true}));
    }
  }
  if (parts.input >= 0) {
    // The folder is the unprivileged daemon's: nothing it puts in the way may lead elsewhere.
    const sys::UniqueFd folder = TRY(
        sys::open_beneath(parts.input, parts.run + "/input", O_PATH | O_DIRECTORY));
    const sys::UniqueFd tree = TRY(sys::clone_tree(folder.get(), "", false));
    TRY(bind_into_root(tree.get(), "input", {.read_only = true, .noexec = false}));
  }
  for (const auto& [from, at] : {std::pair("output", "output"), std::pair("shm", "dev/shm")}) {
    const sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, scratch + "/" + from, false));
    TRY(bind_into_root(tree.get(), at, {}));
  }
  if (parts.host_network) TRY(show_network_files(parts));
  return ok();
}

}  // namespace

Result<Stage> Stage::build(const StageParts& parts) {
  const Attached scratch = TRY(Attached::create(parts.scratch, "/stage/scratch"));
  const sys::UniqueFd overlay = TRY(
      make_overlay(parts, scratch.path()).context("root file system"));
  TRY(sys::ensure_dir_at(sys::kCwd, kStageRoot, 0700));
  TRY(sys::attach_mount(overlay.get(), sys::kCwd, kStageRoot));
  Stage stage(true);
  TRY(fill_root(parts, scratch.path()));
  return stage;
}

Stage::~Stage() {
  if (mounted_) (void)sys::unmount(kStageRoot, true);
}

}  // namespace tare::sandbox
