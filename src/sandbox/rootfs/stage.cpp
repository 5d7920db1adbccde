#include "sandbox/rootfs/stage.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "model/runner.h"
#include "sandbox/plan/plan.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/mountfs.h"

namespace tare::sandbox {

namespace {

constexpr const char* kStage = "/stage";

// On 6.1 an overlay accepts attached layers only.
Result<std::string> attach(int mount, const std::string& name) {
  const std::string path = std::string(kStage) + "/" + name;
  TRY(sys::ensure_dir_at(sys::kCwd, path, 0700));
  TRY(sys::attach_mount(mount, sys::kCwd, path));
  return path;
}

// In the stage while it lives, else in the root: a working directory would hold the stage's mount.
class InStage {
 public:
  static Result<InStage> enter() {
    if (::chdir(kStage) != 0) return sys_error(errno, "chdir to the stage");
    return InStage();
  }
  InStage(InStage&& other) noexcept : there_(std::exchange(other.there_, false)) {}
  InStage& operator=(InStage&&) = delete;
  ~InStage() {
    if (there_) CHECK(::chdir("/") == 0);
  }

 private:
  InStage() = default;
  bool there_ = true;
};

// In a user namespace of our own ids are those of the sandbox as they are, and what was mounted
// below a folder of the host is locked to it.
bool is_shared(int user_namespace) { return user_namespace < 0; }

// Of the whole tree at `tree` or, where its file system cannot, of nothing. One that could before
// can now: a layer that is shown otherwise than the others would make of a session what no freeze
// can keep.
Result<> show_ids(int tree, int user_namespace, MappedDevices* devices) {
  auto mapped = sys::idmap_mount(tree, user_namespace);
  const dev_t device = TRY(sys::stat_fd(tree)).st_dev;
  if (mapped) {
    if (devices != nullptr) devices->insert(device);
    return ok();
  }
  const bool never_can = mapped.error().sys == EINVAL &&
                         (devices == nullptr || !devices->contains(device));
  return never_can ? ok() : std::move(mapped);
}

// A tree of real-root-owned files, shown with the sandbox's ids. File systems without idmapped
// mounts (an overlay or a network file system as the host's root) show it with the overflow owner:
// readable all the same.
Result<sys::UniqueFd> shown_to(int user_namespace, const std::string& path, bool read_only,
                               MappedDevices* devices = nullptr) {
  const bool shared = is_shared(user_namespace);
  sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, path, shared));
  if (!shared) TRY(show_ids(tree.get(), user_namespace, devices).context(path));
  if (read_only) TRY(sys::restrict_mount(tree.get(), {.read_only = true}, shared));
  return tree;
}

std::vector<std::string> lower_paths(const StageParts& parts) {
  std::vector<std::string> lowers;  // highest first, as overlayfs wants them
  if (!parts.runner.empty()) lowers.push_back(parts.skeleton->runner);
  if (!parts.host_root) lowers.push_back(parts.skeleton->platform);
  for (auto digest = parts.layers.rbegin(); digest != parts.layers.rend(); ++digest)
    lowers.push_back(layer_path(parts.layers_dir, *digest));
  if (parts.host_root) lowers.push_back(parts.skeleton->host);
  return lowers;
}

// The overlay's root has the time of its upper: else each freeze would keep it as a change that
// nobody made.
Result<> give_time(const StageParts& parts, const std::string& upper) {
  const std::string below = parts.layers.empty()
                                ? (parts.host_root ? parts.skeleton->host
                                                   : parts.skeleton->platform)
                                : layer_path(parts.layers_dir, parts.layers.back());
  const struct stat status = TRY(sys::stat_at(sys::kCwd, below).context("layer"));
  return sys::set_mtime_at(sys::kCwd, upper, status.st_mtim.tv_sec).context("upper");
}

Result<sys::UniqueFd> make_overlay(const StageParts& parts, const std::string& scratch) {
  // fsconfig(2) takes 255 bytes, whatever the file system would: that is enough for kMaxLayers when
  // each is named from where they are, by its number alone.
  std::string lower_option;
  int lowers = 0;
  for (const std::string& path : lower_paths(parts)) {
    const sys::UniqueFd tree = TRY(
        shown_to(parts.user_namespace, path, true, parts.mapped_devices).context("layer"));
    if (!lower_option.empty()) lower_option += ':';
    const std::string name = std::to_string(lowers++);
    TRY(attach(tree.get(), name));
    lower_option += name;
  }
  TRY(give_time(parts, scratch + "/upper"));
  const InStage here = TRY(InStage::enter());
  sys::FsContext overlay = TRY(sys::FsContext::create("overlay"));
  TRY(overlay.set("lowerdir", lower_option));
  TRY(overlay.set("upperdir", scratch + "/upper"));
  TRY(overlay.set("workdir", scratch + "/work"));
  // Spelt out, as kernels differ in their defaults: a renamed lower folder is EXDEV (mv copies it),
  // and a layer that is made of an upper never refers to anything by xattr.
  for (const char* option : {"metacopy", "index", "xino"}) TRY(overlay.set(option, "off"));
  // Without root trusted.* attributes cannot be written: user.* ones are, where the file system of
  // the upper has them (tmpfs from 6.6). "off" would still follow redirects, which excludes them.
  if (is_shared(parts.user_namespace)) TRY(overlay.set_flag("userxattr"));
  TRY(overlay.set("redirect_dir", is_shared(parts.user_namespace) ? "nofollow" : "off"));
  sys::UniqueFd mount = TRY(overlay.mount({}));
  if (sys::is_read_only(mount.get())) {
    return Error{Errc::internal, "the kernel made the overlay read-only (see dmesg)"};
  }
  return mount;
}

Result<> bind_into_root(int tree, std::string_view at, const sys::MountFlags& flags,
                        bool recursive = false) {
  TRY(sys::restrict_mount(tree, flags, recursive));
  return sys::attach_mount(tree, sys::kCwd, std::string(kStageRoot) + "/" + std::string(at))
      .context(at);
}

// What an environment build needs to reach the package registries by name.
Result<> show_network_files(const StageParts& parts) {
  for (const char* path : {"etc/resolv.conf", "etc/hosts", "etc/apt"}) {
    auto tree = shown_to(parts.user_namespace, parts.host + "/" + path, true);
    if (!tree && tree.error().code == Errc::not_found) continue;
    if (!tree) return std::move(tree).error();
    TRY(bind_into_root(tree->get(), path, {.read_only = true}));
  }
  return ok();
}

Result<> fill_root(const StageParts& parts, const std::string& scratch) {
  const bool shared = is_shared(parts.user_namespace);  // then each device is a mount
  const sys::UniqueFd devices = TRY(sys::clone_tree(sys::kCwd, "/dev", shared));
  TRY(bind_into_root(devices.get(), "dev", {.read_only = true, .nodev = false, .noexec = true},
                     shared));
  if (parts.host_root) {
    for (const std::string& name : parts.skeleton->host_dirs) {
      const sys::UniqueFd tree = TRY(shown_to(parts.user_namespace, parts.host + "/" + name, true));
      TRY(bind_into_root(tree.get(), name, {.read_only = true}));
    }
  }
  for (const auto& [from, at] : {std::pair("output", "output"), std::pair("shm", "dev/shm")}) {
    if (parts.output_in_root && at == std::string_view("output")) continue;
    const sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, scratch + "/" + from, false));
    TRY(bind_into_root(tree.get(), at, {}));
  }
  if (!parts.runner.empty()) {
    // Not a part of the overlay: what is frozen never has it, and it can be changed alone.
    const sys::UniqueFd tree = TRY(
        runner_tree(parts.user_namespace, parts.layers_dir, parts.runner));
    TRY(sys::attach_mount(tree.get(), sys::kCwd,
                          std::string(kStageRoot) + std::string(model::kRunnerPath)));
  }
  if (parts.host_network && parts.host_root) TRY(show_network_files(parts));
  return ok();
}

}  // namespace

std::string layer_path(const std::string& layers_dir, const std::string& digest) {
  CHECK(digest.starts_with("sha256:"));  // the protocol has checked it
  return layers_dir + "/" + digest.substr(7) + "/root";
}

Result<sys::UniqueFd> runner_tree(int user_namespace, const std::string& layers_dir,
                                  const std::string& digest) {
  return shown_to(user_namespace, layer_path(layers_dir, digest), true).context("runner");
}

Result<Stage> Stage::build(const StageParts& parts) {
  const sys::UniqueFd base = TRY(sys::clone_tree(sys::kCwd, kStage, false));
  TRY(sys::attach_mount(base.get(), sys::kCwd, kStage));
  Stage stage(true);
  const std::string scratch = TRY(attach(parts.scratch, "scratch"));
  const sys::UniqueFd overlay = TRY(make_overlay(parts, scratch).context("root file system"));
  TRY(attach(overlay.get(), "root"));
  TRY(fill_root(parts, scratch));
  return stage;
}

Stage::~Stage() {
  if (mounted_) (void)sys::unmount(kStage, true);
}

}  // namespace tare::sandbox
