#include "sandbox/rootfs/skeleton.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sandbox/plan/plan.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/mountfs.h"

namespace tare::sandbox {

namespace {

struct Folder {
  const char* path;
  unsigned mode;
  uid_t owner;
};
constexpr std::array<Folder, 6> kPlatform = {{
    {"proc", 0555, 0},
    {"dev", 0755, 0},
    {"sys", 0555, 0},
    {"tmp", 01777, 0},
    {"input", 0755, 0},
    {"output", 0755, 1000},
}};
constexpr std::array<Folder, 3> kRunnerPlace = {{
    {"opt", 0755, 0}, {"opt/tare", 0755, 0}, {"opt/tare/runner", 0755, 0},  // model::kRunnerPath
}};
constexpr std::array<Folder, 10> kHostOnly = {{
    {"etc", 0755, 0},
    {"etc/apt", 0755, 0},
    {"usr", 0755, 0},
    {"home", 0755, 0},
    {"home/agent", 0755, 1000},
    {"root", 0700, 0},
    {"run", 0755, 0},
    {"var", 0755, 0},
    {"var/tmp", 01777, 0},
    {"mnt", 0755, 0},
}};

// What of the host's /etc is shown: names, not contents of accounts, keys or mounts. Files,
// symlinks and folders; only what everybody may read.
constexpr const char* kEtc[] = {
    "alternatives",
    "ca-certificates.conf",
    "debian_version",
    "default/locale",
    "fonts",
    "java-17-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "lsb-release",
    "magic",
    "mime.types",
    "os-release",
    "perl",
    "protocols",
    "python3",
    "python3.11",
    "services",
    "ssl/certs/ca-certificates.crt",
    "ssl/openssl.cnf",
    "terminfo",
};
constexpr int kEtcDepth = 4;
constexpr std::size_t kEtcFileBytes = 4 << 20;
constexpr std::size_t kEtcEntries = 4096;
constexpr const char* kMemorySize = "64m";

struct TextFile {
  const char* path;
  const char* text;
};
constexpr std::array<TextFile, 5> kHostFiles = {{
    {"etc/passwd",
     "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:/home/agent:/bin/sh\n"
     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"etc/group", "root:x:0:\ntty:x:5:\nagent:x:1000:\nnogroup:x:65534:\n"},
    {"etc/nsswitch.conf",
     "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: "
     "files\n"},
    {"etc/resolv.conf", ""},
    {"etc/hosts", ""},
}};

Result<> make_folders(int root, std::span<const Folder> folders) {
  for (const Folder& folder : folders) {
    TRY(sys::make_dir_at(root, folder.path, 0700));
    const sys::UniqueFd fd = TRY(
        sys::open_at(root, folder.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(sys::own_fd(fd.get(), folder.owner, folder.owner));
    TRY(sys::chmod_fd(fd.get(), folder.mode));
  }
  return ok();
}

Result<> write_file(int root, const std::string& path, std::string_view text) {
  const sys::UniqueFd fd = TRY(
      sys::open_at(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  TRY(sys::write_all(fd.get(), text));
  return sys::chmod_fd(fd.get(), 0644);
}

// Copies what anybody may read; skips the rest, and what changes under our hands.
Result<> copy_entry(int from, int to, const std::string& path, int depth, std::size_t& left) {
  auto status = sys::stat_at(from, path);
  if (!status || left == 0) return ok();
  --left;
  if (S_ISLNK(status->st_mode)) {
    return sys::make_symlink_at(to, path, TRY(sys::read_link_at(from, path)));
  }
  if ((status->st_mode & S_IROTH) == 0) return ok();
  if (S_ISREG(status->st_mode)) {
    auto text = sys::read_file_at(from, path, kEtcFileBytes);
    return text ? write_file(to, path, *text) : ok();
  }
  if (!S_ISDIR(status->st_mode) || depth == 0) return ok();
  TRY(sys::ensure_dir_at(to, path, 0755));
  for (const std::string& name : TRY(sys::list_dir(from, path))) {
    TRY(copy_entry(from, to, path + "/" + name, depth - 1, left));
  }
  return ok();
}

Result<> copy_etc(const std::string& host, int root) {
  const sys::UniqueFd from = TRY(sys::open_directory(host + "/etc"));
  const sys::UniqueFd to = TRY(sys::open_at(root, "etc", O_RDONLY | O_DIRECTORY));
  std::size_t left = kEtcEntries;
  for (const char* entry : kEtc) {
    const std::string path(entry);
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      TRY(sys::ensure_dir_at(to.get(), path.substr(0, slash), 0755));
    }
    TRY(copy_entry(from.get(), to.get(), path, kEtcDepth, left).context("/etc/" + path));
  }
  return ok();
}

// /bin, /lib and so on: symlinks into /usr on a merged host, real folders on an old one.
Result<std::vector<std::string>> host_folders(const std::string& host, int root) {
  std::vector<std::string> shown = {"usr"};
  const sys::UniqueFd from = TRY(sys::open_directory(host));
  for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
    auto status = sys::stat_at(from.get(), name);
    if (!status) continue;
    if (S_ISLNK(status->st_mode)) {
      TRY(sys::make_symlink_at(root, name, TRY(sys::read_link_at(from.get(), name))));
    } else if (S_ISDIR(status->st_mode)) {
      TRY(sys::make_dir_at(root, name, 0755));
      shown.emplace_back(name);
    }
  }
  return shown;
}

Result<sys::UniqueFd> begin_layer(const std::string& path, std::span<const Folder> folders) {
  TRY(sys::make_dir_at(sys::kCwd, path, 0755));
  sys::UniqueFd root = TRY(sys::open_at(sys::kCwd, path, O_RDONLY | O_DIRECTORY));
  TRY(sys::chmod_fd(root.get(), 0755));
  TRY(make_folders(root.get(), folders));
  return root;
}

// Over the folder `at`; not, where a sandbox would see the owner of each file as nobody.
Result<> mount_memory(const std::string& at, int user_namespace) {
  sys::FsContext context = TRY(sys::FsContext::create("tmpfs"));
  TRY(context.set("size", kMemorySize));
  TRY(context.set("mode", "0700"));
  const sys::UniqueFd memory = TRY(context.mount({}));
  TRY(sys::attach_mount(memory.get(), sys::kCwd, at));
  if (user_namespace < 0) return ok();
  const sys::UniqueFd shown = TRY(sys::clone_tree(sys::kCwd, at, false));
  const auto mapped = sys::idmap_mount(shown.get(), user_namespace);
  if (mapped) return ok();
  TRY(sys::unmount(at, true));
  return mapped.error().sys == EINVAL ? ok() : mapped;
}

}  // namespace

Result<Skeleton> make_skeleton(const std::string& launcher_dir, const std::string& host,
                               int user_namespace) {
  const std::string base = launcher_dir + "/skeleton";
  TRY(sys::remove_tree_at(sys::kCwd, base));
  TRY(sys::make_dir_at(sys::kCwd, base, 0700));
  TRY(mount_memory(base, user_namespace).context("memory"));
  Skeleton skeleton{base + "/platform", base + "/host", base + "/runner", {}};
  TRY(begin_layer(skeleton.platform, kPlatform));
  TRY(begin_layer(skeleton.runner, kRunnerPlace));
  const sys::UniqueFd root = TRY(begin_layer(skeleton.host, kPlatform));
  TRY(make_folders(root.get(), kHostOnly));
  for (const TextFile& file : kHostFiles) TRY(write_file(root.get(), file.path, file.text));
  skeleton.host_dirs = TRY(host_folders(host, root.get()));
  TRY(copy_etc(host, root.get()));
  return skeleton;
}

}  // namespace tare::sandbox
