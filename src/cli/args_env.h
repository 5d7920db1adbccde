// The commands `tare env ...`: their options and how they become values. Private to args.cpp; sees
// CLI11 as that does.
#pragma once

#include "cli/args_subgrammar.h"

namespace tare::cli {

// Takes a command after `--`, with --from.
Result<Command> make_env_build(const Raw& raw);

void add_env_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar);

}  // namespace tare::cli
