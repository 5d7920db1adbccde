// tare-attack: tries, inside a live sandbox, what tests/kernel/attacks_*_test.cpp say must not
// work. One argument names a group of attacks; each is really tried, and says one line:
//
//   NAME: EPERM        refused, with the kernel's (or the filter's) answer
//   NAME: DONE         it worked: the test fails
//   NAME: HARMLESS ... it may be done, and the line says what came of it
//
// The last line is `tried N`: a program that died on the way is not taken for one that was refused.
// Process: inside a sandbox, as agent or as root. Static; the C++ library, nothing of ours.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace tare::attack {

// `result` as of a system call: negative means errno. What was got is the caller's to close.
void report(const std::string& name, long result);
void harmless(const std::string& name, const std::string& what);
// As report(), closing the descriptor that it got.
void report_fd(const std::string& name, int fd);
void report_open(const std::string& path, int flags);
// In a child process, which ends with what `attack` returns: 0 is DONE, else an errno; and death by
// a signal is `SIGNAL n`.
void report_child(const std::string& name, const std::function<int()>& attack);
int tried();

std::vector<std::string> names_in(const std::string& folder);
std::string text_of(const std::string& path);
bool is_number(const std::string& name);
long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);
template <class T>
long address(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

// The groups.
void attack_pid1();            // PID 1 of its own sandbox
void attack_pid1_proc();       // the same through /proc/1
void attack_mounts();          // remounts and masks
void attack_proc();            // every file of /proc that could be written
void attack_secrets();         // files that tell of the host
void attack_descriptors();     // inherited ones, and paths out of the root
void attack_calls();           // calls that must be refused
void attack_abi();             // other ways to make a call
void attack_modules();         // what the kernel would load a module for
void attack_ids();             // capabilities, ids, files with set-id bits and devices
void attack_set_id();          // a set-id file of an image's, /bin/set-id
void attack_sockets();         // families, abstract names, descriptors that are passed
void attack_terminal();        // a terminal's input
void attack_runner();          // what is shown at /opt/tare/runner
void attack_runner_process();  // a process that executes it

// Exit status 0: its ids and capabilities are those of whoever executed it; 65: it has gained.
int ids_of_itself();
// Bombs: takes what it names until it is refused, and says so; then stays for a moment.
int bomb(const std::string& name);
// The tenant of a slot; `mark`: 64 hexadecimal digits.
int tenant(const std::string& mark);
// Small steady work for `seconds`; says how long its steps took, in microseconds.
int neighbour(int seconds);

}  // namespace tare::attack
