// How the kernel shares a processor between the calling thread and others. Any thread, for itself.
// Source: sched_setattr(2); a slice of SCHED_OTHER is what sched_runtime says since Linux 6.12.
#pragma once

namespace tare::sys {

// For a thread that works in short pieces while another one waits for it: when it is woken, it goes
// before a thread with a longer slice on the same processor, and is not kept waiting for the rest
// of that one's (3 ms by default). It gets no more of the processor than before. Needs no right.
// A kernel that knows no slices does nothing, and nobody is told: it is only slower.
void ask_for_short_slices();

}  // namespace tare::sys
