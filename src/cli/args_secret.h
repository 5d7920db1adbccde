// The commands `tare secret ...`: their options and how they become values. Private to args.cpp;
// sees CLI11 as that does.
#pragma once

#include "cli/args_subgrammar.h"

namespace tare::cli {

void add_secret_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar);

}  // namespace tare::cli
