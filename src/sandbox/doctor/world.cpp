#include "sandbox/doctor/world.h"

#include <fcntl.h>

#include "sandbox/doctor/box.h"
#include "sandbox/rootfs/pruned.h"
#include "sys/files.h"

namespace tare::sandbox {

Result<World> enter_world(const Host& host) {
  if (!host.place) return host.place.error();
  World world;
  world.images.devices = TRY(sys::open_directory("/dev"));
  world.images.loop_control = sys::open_at(world.images.devices.get(), "loop-control", O_RDWR)
                                  .value_or(sys::UniqueFd());
  world.images.host = kHostRoot;
  world.images.folder = *host.place + "/launcher/images";
  TRY(enter_pruned_namespace(*host.place,
                             host.inside ? Powers::of_own_namespace : Powers::of_host));
  world.place = std::string(kHostRoot) + *host.place;
  if (!host.inside) world.user_namespace = TRY(box_user_namespace().context("user namespace"));
  return world;
}

}  // namespace tare::sandbox
