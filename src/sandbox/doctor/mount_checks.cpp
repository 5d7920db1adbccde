// Mounts as the launcher makes them, in its own pruned world.
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "sandbox/doctor/box.h"
#include "sandbox/doctor/check.h"
#include "sandbox/doctor/world.h"
#include "sandbox/init/apply.h"
#include "sandbox/rootfs/pruned.h"
#include "sandbox/rootfs/skeleton.h"
#include "sandbox/rootfs/stage.h"
#include "sys/entries.h"
#include "sys/files.h"
#include "sys/mountfs.h"

namespace tare::sandbox {

namespace {

// By the code that does it in a sandbox.
BoxAnswer mount_proc(int) {
  if (const int error = init::apply({.op = Op::proc, .a = "/proc", .b = ""}); error != 0) {
    return box_failed("mount proc", error);
  }
  char self[16] = {};
  if (::readlink("/proc/self", self, sizeof self - 1) < 0) return box_failed("read /proc/self");
  const std::string_view pid(self);
  return pid == "1" ? box_done() : box_failed("find itself as process 1 in /proc", ESRCH);
}

// The lower layers hold /etc with a file of root; everything here must end in the upper one.
BoxAnswer change_root_and_write(int) {
  const StepView steps[] = {
      {.op = Op::enter_root, .a = kStageRoot, .b = ""},
      {.op = Op::make_dir, .a = "/etc/doctor", .b = "", .n = 0755},
      {.op = Op::write_file, .a = "/etc/doctor/made", .b = "text", .n = 0644},
  };
  constexpr const char* kDoing[] = {"enter the root", "make a folder", "write a file"};
  for (std::size_t i = 0; i < std::size(steps); ++i) {
    if (const int error = init::apply(steps[i]); error != 0) return box_failed(kDoing[i], error);
  }
  if (std::rename("/etc/doctor/made", "/etc/doctor/moved") != 0) return box_failed("rename a file");
  if (std::rename("/etc/passwd", "/etc/doctor/passwd") != 0) {
    return box_failed("rename a file of a layer");
  }
  if (::unlink("/etc/group") != 0) return box_failed("unlink a file of a layer");
  struct stat status = {};
  if (::lstat("/etc/group", &status) == 0) return box_failed("miss a file of a layer", EEXIST);
  if (::lstat("/etc/doctor/passwd", &status) != 0) return box_failed("find a renamed file");
  return status.st_uid == 0 ? box_done() : box_failed("own a file of root in a layer", EOVERFLOW);
}

}  // namespace

Result<std::string> check_mount_namespace(const Host& host) {
  const World world = TRY(enter_world(host));
  // The copy that the launcher sees of its home is the folder itself, not an empty one of that
  // name.
  if (!sys::exists_at(sys::kCwd, world.place + "/launcher/images")) {
    return Error{Errc::not_found, world.place + " shows another folder"};
  }
  return std::string("the host's root and the home were shown in one of our own");
}

Result<std::string> check_proc(const Host& host) {
  const World world = TRY(enter_world(host));
  TRY(perform_in_box(&mount_proc,
                     {.namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC}));
  return std::string("a proc of its own was mounted in new user and pid namespaces");
}

Result<std::string> check_idmapped_mount(const Host& host) {
  if (host.inside) return std::string("not needed: sandboxes have the ids of our own namespace");
  const World world = TRY(enter_world(host));
  const sys::UniqueFd tree = TRY(sys::clone_tree(sys::kCwd, world.place, false));
  TRY(sys::idmap_mount(tree.get(), world.user_namespace.get()));
  const struct stat status = TRY(sys::stat_at(tree.get(), "launcher"));
  if (status.st_uid != box_uid()) {
    return Error{Errc::internal, "a folder of root shows as uid " + std::to_string(status.st_uid)};
  }
  return "a folder of root is shown as uid " + std::to_string(status.st_uid);
}

Result<std::string> check_overlay(const Host& host) {
  const World world = TRY(enter_world(host));
  // The layers of the `host` environment, without the host's hundreds of files in /etc.
  const std::string folder = world.place + "/launcher";
  TRY(sys::make_dir_at(sys::kCwd, folder + "/bare", 0755));
  TRY(sys::make_dir_at(sys::kCwd, folder + "/bare/etc", 0755));
  const Skeleton skeleton = TRY(
      make_skeleton(folder, folder + "/bare", world.user_namespace.get()).context("layers"));
  const model::Limits limits;  // by default a tmpfs
  const sys::UniqueFd scratch = TRY(make_scratch(limits, box_uid(), world.images));
  const StageParts parts = {
      .skeleton = &skeleton,
      .host = std::string(kHostRoot),
      .layers_dir = "",
      .layers = {},
      .host_root = true,
      .user_namespace = world.user_namespace.get(),
      .scratch = scratch.get(),
  };
  const Stage stage = TRY(Stage::build(parts));
  TRY(perform_in_box(&change_root_and_write, {.namespaces = CLONE_NEWUSER | CLONE_NEWNS}));
  return std::string("files were made, renamed and removed through it by root inside");
}

}  // namespace tare::sandbox
