// The few lines between the launcher's clone3 and tare-init: see become_init.cpp. Runs in the new
// process.
#pragma once

namespace tare::sandbox {

// `control`: this end of the socket to the launcher; `others_end`: the launcher's, inherited;
// `init`: the program.
[[noreturn]] void become_init(int control, int others_end, int init, int null);

}  // namespace tare::sandbox
