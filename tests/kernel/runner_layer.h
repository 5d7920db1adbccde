// A runner's layer in the store of a test's home: main.sh, lib/code.py and tare-attack.
#pragma once

#include <string>

#include "support/launcher.h"

namespace tare::testing {

// Its digest (made up: the launcher goes by the name alone). `text` is what main.sh holds.
std::string make_runner(const TestLauncher& launcher, char digit = 'a',
                        const std::string& text = "echo one\n");

}  // namespace tare::testing
