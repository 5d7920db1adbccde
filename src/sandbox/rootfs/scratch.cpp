#include "sandbox/rootfs/scratch.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/entries.h"
#include "sys/files.h"
#include "sys/fork.h"
#include "sys/mountfs.h"
#include "sys/process.h"

namespace tare::sandbox {

namespace {

constexpr std::size_t kMaxWordsBytes = 1024;  // of a failed mkfs

Result<sys::UniqueFd> make_tmpfs(const model::Limits& limits) {
  sys::FsContext context = TRY(sys::FsContext::create("tmpfs"));
  TRY(context.set("size", std::to_string(limits.disk_bytes)));
  TRY(context.set("nr_inodes", std::to_string(limits.disk_inodes)));
  TRY(context.set("mode", "0755"));
  return context.mount({});
}

}  // namespace

Result<> resize_scratch(int scratch, const model::Limits& limits) {
  sys::FsContext context = TRY(sys::FsContext::pick(scratch));
  TRY(context.set("size", std::to_string(limits.disk_bytes)));
  TRY(context.set("nr_inodes", std::to_string(limits.disk_inodes)));
  return context.reconfigure();
}

void read_space(int scratch, model::Usage& usage) {
  struct statvfs space = {};
  if (::fstatvfs(scratch, &space) != 0) return;
  usage.disk_full = space.f_bavail == 0;  // ext4 keeps some of f_bfree to itself
  usage.inodes_full = space.f_ffree == 0;
}

namespace {

// An empty ext4 of exactly this size, made once and copied for each sandbox: mkfs takes 20 ms, the
// copy of its few hundred KiB of data 1 ms. No journal: nothing on it is to survive a crash.
Result<std::string> image_template(const model::Limits& limits, const ImageTools& tools) {
  const std::string name = std::to_string(limits.disk_bytes) + "-" +
                           std::to_string(limits.disk_inodes);
  const std::string inside = tools.folder + "/" + name;
  const std::string path = tools.host + inside;
  if (sys::exists_at(sys::kCwd, path)) return path;
  // Other makers may be at the same: the last one's stays.
  const std::string making = inside + "." + std::to_string(::getpid());
  {
    const sys::UniqueFd file = TRY(
        sys::open_at(sys::kCwd, tools.host + making, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    TRY(sys::truncate_fd(file.get(), limits.disk_bytes));
  }
  const std::string inodes = std::to_string(limits.disk_inodes);
  // Told only when it fails: without an mtab it warns each time.
  const sys::UniqueFd said(::memfd_create("mkfs", MFD_CLOEXEC));
  sys::Child child = TRY(sys::fork_child());
  if (!child.valid()) {
    sys::exec_in_root(tools.host, {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"},
                      {"mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-O", "^has_journal", "-E",
                       "nodiscard,lazy_itable_init=1", "-N", inodes, making},
                      said.get());
  }
  const sys::ExitStatus status = TRY(child.wait(nullptr));
  if (status.signalled || status.code != 0) {
    std::string why(kMaxWordsBytes, '\0');
    const ssize_t n = ::pread(said.get(), why.data(), why.size(), 0);
    why.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return Error{Errc::unavailable,
                 "mkfs.ext4 failed with status " + std::to_string(status.code) +
                     " (a disk limit above a quarter of the memory limit needs e2fsprogs) " + why};
  }
  if (::rename((tools.host + making).c_str(), path.c_str()) != 0)
    return sys_error(errno, "rename template");
  return path;
}

Result<sys::UniqueFd> copy_template(const std::string& path, const ImageTools& tools,
                                    std::uint64_t bytes) {
  const sys::UniqueFd from = TRY(sys::open_at(sys::kCwd, path, O_RDONLY));
  sys::UniqueFd to = TRY(
      sys::open_at(sys::kCwd, tools.host + tools.folder, O_RDWR | O_TMPFILE, 0600));
  TRY(sys::truncate_fd(to.get(), bytes));
  std::uint64_t offset = 0;
  while (const auto stretch = TRY(sys::next_data(from.get(), offset))) {
    auto in = static_cast<off_t>(stretch->begin);
    auto out = in;
    while (static_cast<std::uint64_t>(in) < stretch->end) {
      const ssize_t n = ::copy_file_range(from.get(), &in, to.get(), &out,
                                          stretch->end - static_cast<std::uint64_t>(in), 0);
      if (n <= 0) return sys_error(n < 0 ? errno : EIO, "copy image");
    }
    offset = stretch->end;
  }
  return to;
}

Result<sys::UniqueFd> attach_loop(const sys::UniqueFd& image, const ImageTools& tools) {
  constexpr int kTries = 64;  // another program may take the free one between the two calls
  for (int i = 0; i < kTries; ++i) {
    const int number = ::ioctl(tools.loop_control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return sys_error(errno, "LOOP_CTL_GET_FREE");
    sys::UniqueFd loop = TRY(
        sys::open_at(tools.devices.get(), "loop" + std::to_string(number), O_RDWR));
    loop_config config = {};
    config.fd = static_cast<unsigned>(image.get());
    config.block_size = 4096;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) return loop;
    if (errno != EBUSY) return sys_error(errno, "LOOP_CONFIGURE");
  }
  return Error{Errc::exhausted, "no free loop device"};
}

Result<> need_loop_devices(const ImageTools& tools) {
  if (tools.loop_control.valid()) return ok();
  return Error{Errc::unavailable,
               "no /dev/loop-control that may be opened: a disk limit above a quarter of the "
               "memory limit needs loop devices, and root; lower --disk or raise --mem"};
}

Result<sys::UniqueFd> make_image(const model::Limits& limits, const ImageTools& tools) {
  TRY(need_loop_devices(tools));
  const std::string path = TRY(image_template(limits, tools));
  const sys::UniqueFd image = TRY(copy_template(path, tools, limits.disk_bytes));
  const sys::UniqueFd loop = TRY(attach_loop(image, tools));
  sys::FsContext context = TRY(sys::FsContext::create("ext4"));
  TRY(context.set("source", "/proc/self/fd/" + std::to_string(loop.get())));
  TRY(context.set_flag("noinit_itable"));
  return context.mount({});
}

struct Folder {
  const char* name;
  unsigned mode;
  std::uint32_t owner;  // inside
};
constexpr std::array<Folder, 4> kFolders = {{
    {"upper", 0755, 0},
    {"work", 0755, 0},
    {"output", 0755, 1000},
    {"shm", 01777, 0},
}};

}  // namespace

Result<sys::UniqueFd> make_scratch(const model::Limits& limits, uid_t base,
                                   const ImageTools& tools) {
  const bool in_memory = model::scratch_of(limits) == model::Scratch::memory;
  auto made = in_memory ? make_tmpfs(limits) : make_image(limits, tools);
  sys::UniqueFd scratch = TRY(std::move(made).context("cannot arm the limit disk: scratch space"));
  for (const Folder& folder : kFolders) {
    TRY(sys::make_dir_at(scratch.get(), folder.name, folder.mode));
    TRY(sys::own_at(scratch.get(), folder.name, base + folder.owner, base + folder.owner));
    if ((folder.mode & S_ISVTX) != 0 &&
        ::fchmodat(scratch.get(), folder.name, folder.mode, 0) != 0) {
      return sys_error(errno, "chmod scratch folder");
    }
  }
  return scratch;
}

}  // namespace tare::sandbox
