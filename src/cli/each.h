// One verb for several things, one after another: what `tare kill a b` does. Each that is done is
// printed; one that fails is told on stderr and the others go on; the first failure's status is the
// exit status.
//
//   { "done": ["run_..."], "failed": [{"name": "x", "code": "not_found", "message": "..."}] }
//
// is printed in their place with --json. Errors: that nobody listens; what writing says.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/app.h"

namespace tare::cli {

// `act` returns what is printed of one that is done.
Result<int> for_each_name(const std::vector<std::string>& names, bool json, App& app,
                          const fiber::Context& ctx,
                          const std::function<Result<std::string>(const std::string&)>& act);

// The same for runs and sessions, whose ids may be abbreviated; their whole ids are printed.
Result<int> for_each_run(const std::vector<std::string>& ids, bool json, App& app,
                         const fiber::Context& ctx,
                         const std::function<Result<>(const std::string& id)>& act);

}  // namespace tare::cli
