// What args.cpp gives to the units that add a group of commands. Private to args*.cpp; sees CLI11
// as those do.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "base/result.h"
#include "cli/args.h"
#include "cli/args_raw.h"

namespace tare::cli {

using MakeCommand = Result<Command> (*)(const Raw&);
// Adds a command with a help text, an example, and what makes its value (null: it is a group).
using AddCommand = std::function<CLI::App*(CLI::App& parent, std::string name, std::string what,
                                           std::string_view example, MakeCommand make)>;

struct Subgrammar {
  AddCommand add;
  std::function<void(CLI::App*)> add_json;
  std::function<void(CLI::App*)> add_limits;
  std::function<void(CLI::App*)> add_rights;  // --user, --profile: see kExplain
};

}  // namespace tare::cli
