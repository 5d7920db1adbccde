// Layers in the store of a test's home.
#pragma once

#include <string>
#include <vector>

#include "support/launcher.h"

namespace tare::testing {

// A runner's: main.sh, lib/code.py and tare-attack. Its digest (made up: the launcher goes by the
// name alone). `text` is what main.sh holds.
std::string make_runner(const TestLauncher& launcher, char digit = 'a',
                        const std::string& text = "echo one\n");

// An environment's, lowest first: a shell and sleep; /etc/layer; another /etc/layer.
std::vector<std::string> make_layers(const TestLauncher& launcher);

}  // namespace tare::testing
