// The commands `tare session ...`: their options and how they become values. Private to args.cpp;
// sees CLI11 as that does.
#pragma once

#include "cli/args_subgrammar.h"

namespace tare::cli {

void add_session_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar);

// Takes a command after `--`.
Result<Command> make_exec(const Raw& raw);

}  // namespace tare::cli
