// A sandbox as a value: everything tare-launcher and tare-init need to build it, and nothing else.
// Compiled to a plan by a pure function (sandbox/plan/compile.h). Holds no secret and no host path.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/limits.h"

namespace tare::model {

// What the processes inside may do. `strict`: no sockets beyond AF_UNIX, no exec of other users'
// tools is implied; `standard`: what ordinary programs need (called "default" everywhere a user
// sees it); `build`: root inside with CHOWN, SETUID, SETGID, FOWNER, DAC_OVERRIDE (and SYS_CHROOT)
// for package installers.
enum class Profile : std::uint8_t { strict, standard, build };

// `none`: only lo. `host`: the host's network; only for building environments, never for an agent's
// run.
enum class Network : std::uint8_t { none, host };

struct SandboxSpec {
  std::string id;          // the run's id
  std::string hostname;    // inside
  std::string machine_id;  // 32 hex digits; "" for none (machine-id(5))
  bool host_root = false;  // the `host` environment: the host's /usr and friends, read-only
  std::vector<std::string>
      layers;               // digests ("sha256:..."), lowest first; may be empty with host_root
  std::string runner = {};  // digest of the layer at model::kRunnerPath, "" for none
  bool session = false;     // no program of its own (argv is empty): it serves execs until it is
                            // killed, and /output is a folder of its root, so that it can hibernate
                            // with it
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value", complete
  std::string cwd = "/home/agent";
  std::uint32_t uid = 1000, gid = 1000;  // inside
  bool with_stdin = false;
  bool with_input = false;  // an input folder is passed by descriptor, shown read-only at /input
  Profile profile = Profile::standard;
  Network network = Network::none;
  // With the host's network in a root that is not the host's: its /etc/resolv.conf.
  std::string name_servers = {};
  Limits limits;
};

}  // namespace tare::model
