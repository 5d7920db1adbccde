// compile: a SandboxSpec becomes the steps of tare-init: the base plan that any run of such an
// environment has, then the run's own. Pure: the same spec gives the same bytes on every machine
// with the same version of Landlock; golden-tested without a kernel. Validation is here too, so
// that what is refused is refused before anything is made.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/exec.h"
#include "model/sandbox_spec.h"
#include "sandbox/plan/codec.h"

namespace tare::sandbox {

// The two parts (plan.h). People count the steps through both, from 1.
struct Plans {
  std::vector<Step> base, run;

  std::vector<Step> all() const;
};

// All that a base plan depends on. Sandboxes of one kind, on the same layers, are interchangeable
// until they are claimed.
struct BaseKind {
  model::Profile profile = model::Profile::standard;
  model::Network network = model::Network::none;
  bool host_root = false;
  std::uint32_t uid = 1000, gid = 1000;

  static BaseKind of(const model::SandboxSpec& spec);
  auto operator<=>(const BaseKind&) const = default;
};

// What stands around a program besides its namespaces and ids.
struct Walls {
  std::string_view
      filter;            // the compiled system call filter of the kind's profile (seccomp/build.h)
  int landlock_abi = 0;  // of this kernel, sys/landlock.h
};

Result<std::vector<Step>> compile_base(const BaseKind& kind, const Walls& walls);
Result<std::vector<Step>> compile_run(const model::SandboxSpec& spec);
Result<Plans> compile(const model::SandboxSpec& spec, const Walls& walls);

// An exec in a sandbox of `spec`: all that a program of its own is confined by, as the steps that a
// child of tare-init applies to itself. `spec.argv` and `spec.env` play no part.
Result<std::vector<Step>> compile_exec(const model::ExecSpec& exec, const model::SandboxSpec& spec,
                                       const Walls& walls);

// Capabilities a program may hold, as a bit mask, by profile.
std::uint64_t capabilities_of(model::Profile profile);

}  // namespace tare::sandbox
