// What CLI11 refuses, told with the fix where it knows no more than "not expected". Private to
// args.cpp; sees CLI11 as that does.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "cli/args_raw.h"

namespace tare::cli {

// `app` is the tree of commands after it has refused, `raw` what it had filled in by then.
std::string refusal_text(const CLI::App& app, const CLI::ParseError& error, const Raw& raw);

}  // namespace tare::cli
