// Scratch spaces: their caps are hit by writing, and a loop device is free again afterwards.
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <vector>

#include "base/bytes.h"
#include "sandbox/doctor/box.h"
#include "sandbox/doctor/check.h"
#include "sandbox/doctor/world.h"
#include "sys/files.h"

namespace tare::sandbox {

namespace {

constexpr std::uint64_t kInodes = 128;

// Makes empty files until that is refused. How many could be made.
Result<std::uint64_t> fill_inodes(int folder) {
  for (std::uint64_t made = 0; made <= kInodes; ++made) {
    const std::string name = "file" + std::to_string(made);
    auto file = sys::open_at(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file && file.error().sys == ENOSPC) return made;
    if (!file) return std::move(file).error();
  }
  return Error{Errc::internal, "the cap on inodes did not hold"};
}

// Writes until that is refused. How many bytes could be written.
Result<std::uint64_t> fill_bytes(int folder, std::uint64_t cap) {
  const sys::UniqueFd file = TRY(sys::open_at(folder, "file0", O_WRONLY));
  const std::vector<char> block(std::size_t{256} << 10, 'x');
  for (std::uint64_t written = 0; written <= cap;) {
    const ssize_t n = ::write(file.get(), block.data(), block.size());
    if (n < 0 && errno == ENOSPC) return written;
    if (n < 0) return sys_error(errno, "write");
    written += static_cast<std::uint64_t>(n);
  }
  return Error{Errc::internal, "the cap on bytes did not hold"};
}

// Both caps of a scratch space, hit. A cap that is met far too early is no cap but a fault.
Result<std::string> hit_caps(int scratch, const model::Limits& limits) {
  const sys::UniqueFd folder = TRY(sys::open_at(scratch, "output", O_RDONLY | O_DIRECTORY));
  const std::uint64_t files = TRY(fill_inodes(folder.get()).context("inodes"));
  const std::uint64_t bytes = TRY(fill_bytes(folder.get(), limits.disk_bytes).context("bytes"));
  if (files < limits.disk_inodes / 2 || bytes < limits.disk_bytes / 2) {
    return Error{Errc::internal,
                 "full after " + std::to_string(files) + " files, " + format_size_rounded(bytes)};
  }
  return "full after " + format_size_rounded(bytes) + " of " + format_size(limits.disk_bytes) +
         ", and after " + std::to_string(files) + " files of " +
         std::to_string(limits.disk_inodes) + " inodes";
}

model::Limits limits_with(std::uint64_t memory_bytes, std::uint64_t disk_bytes) {
  model::Limits limits;
  limits.memory_bytes = memory_bytes;
  limits.disk_bytes = disk_bytes;
  limits.disk_inodes = kInodes;
  return limits;
}

// Is the loop device with this number in use? `devices` is /sys/dev/block.
Result<> wait_until_free(int devices, dev_t device) {
  const std::string loop = std::to_string(::major(device)) + ":" + std::to_string(::minor(device)) +
                           "/loop";
  constexpr int kTries = 200;
  constexpr int kPauseMs = 5;
  for (int i = 0; i < kTries; ++i) {
    if (!sys::exists_at(devices, loop)) return ok();
    ::poll(nullptr, 0, kPauseMs);
  }
  return Error{Errc::timeout, "the loop device was not released"};
}

}  // namespace

Result<std::string> check_memory_disk(const Host& host) {
  const World world = TRY(enter_world(host));
  const model::Limits limits = limits_with(64 * kMiB, 4 * kMiB);
  CHECK(model::scratch_of(limits) == model::Scratch::memory);
  const sys::UniqueFd scratch = TRY(make_scratch(limits, box_uid(), world.images));
  return hit_caps(scratch.get(), limits);
}

Result<std::string> check_loop_devices(const Host&) {
  const sys::UniqueFd control = TRY(sys::open_at(sys::kCwd, "/dev/loop-control", O_RDWR));
  const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
  if (number < 0) return sys_error(errno, "find a free loop device");
  const std::string device = "/dev/loop" + std::to_string(number);
  const sys::UniqueFd loop = TRY(sys::open_at(sys::kCwd, device, O_RDWR));
  int used = 0;
  for (const std::string& name : TRY(sys::list_dir(sys::kCwd, "/sys/block"))) {
    if (!name.starts_with("loop")) continue;
    if (sys::exists_at(sys::kCwd, "/sys/block/" + name + "/loop")) ++used;
  }
  return device + " is free, " + std::to_string(used) + " in use";
}

Result<std::string> check_image_disk(const Host& host) {
  const sys::UniqueFd devices = TRY(sys::open_directory("/sys/dev/block"));
  const World world = TRY(enter_world(host));
  const model::Limits limits = limits_with(32 * kMiB, 16 * kMiB);
  CHECK(model::scratch_of(limits) == model::Scratch::image);
  sys::UniqueFd scratch = TRY(make_scratch(limits, box_uid(), world.images));
  const struct stat status = TRY(sys::stat_fd(scratch.get()));
  const std::string detail = TRY(hit_caps(scratch.get(), limits));
  scratch.reset();
  TRY(wait_until_free(devices.get(), status.st_dev));
  return detail + "; its loop device is free again";
}

}  // namespace tare::sandbox
