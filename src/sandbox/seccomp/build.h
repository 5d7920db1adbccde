// A profile compiled to BPF by libseccomp, as a binary tree: the cost of a call does not grow with
// the table. Run once per profile when tared starts; the bytes go into every plan.
#pragma once

#include <string>

#include "base/result.h"
#include "model/sandbox_spec.h"

namespace tare::sandbox {

// An array of struct sock_filter, as bytes.
Result<std::string> build_filter(model::Profile profile);

}  // namespace tare::sandbox
