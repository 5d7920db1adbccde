#!/usr/bin/env python3
"""Where the time of a launch goes: the system calls of tare-launcher and of all it starts, from
tracepoints of the kernel.

    bench/launch_trace.py PID [--least US] [--whole] -- COMMAND ARGS...

PID is a running tare-launcher (its makers and waiting sandboxes are traced too); COMMAND makes it
launch (for example: tare run --env host -- /bin/true). Without --whole its last claim is shown. One
line for a call of at least US microseconds (default 20): when it began, counted from the launch
message; how long it took; who made it. Then the sums by process and call. Needs root and tracefs;
adds well under a microsecond to a call, unlike ptrace.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"^\s*(.+)-(\d+)\s+\[\d+\]\s+\S+\s+(\d+\.\d+): (\w+): (.*)$")


def syscall_names():
    names = {}
    pattern = re.compile(r"#define __NR_(\w+) (\d+)")
    with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", encoding="ascii") as header:
        for line in header:
            found = pattern.match(line)
            if found:
                names[int(found.group(2))] = found.group(1)
    return names


def threads(pid):
    return map(int, os.listdir(f"/proc/{pid}/task"))


def descendants(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in map(int, file.read().split()):
                found += [child, *descendants(child)]
    return found


class Trace:
    """An instance of its own, so that nobody else's tracing is disturbed."""

    def __init__(self, pid):
        self.mounted = None
        root = "/sys/kernel/tracing"
        if not os.path.exists(root + "/instances"):
            root = self.mounted = tempfile.mkdtemp(prefix="tracefs-")
            subprocess.run(["mount", "-t", "tracefs", "nodev", root], check=True)
        self.path = f"{root}/instances/tare-{os.getpid()}"
        os.mkdir(self.path)
        self.write("buffer_size_kb", "16384")
        self.write("trace_clock", "mono")
        self.write("options/event-fork", "1")
        pids = [pid, *threads(pid), *descendants(pid)]
        self.write("set_event_pid", " ".join(map(str, pids)))
        for event in ("raw_syscalls/sys_enter", "raw_syscalls/sys_exit",
                      "sched/sched_process_exit"):
            self.write(f"events/{event}/enable", "1")

    def write(self, name, text):
        with open(f"{self.path}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def lines(self):
        self.write("tracing_on", "0")
        with open(f"{self.path}/trace", encoding="utf-8", errors="replace") as file:
            return file.readlines()

    def close(self):
        os.rmdir(self.path)
        if self.mounted:
            subprocess.run(["umount", self.mounted], check=True)
            os.rmdir(self.mounted)


def parse(lines, names):
    """[(start_s, duration_us, pid, command, call)], in order of their start."""
    open_calls, calls = {}, []
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        command, pid, at, event, rest = found.groups()
        pid, at = int(pid), float(at)
        if event == "sys_enter":
            number = int(rest.split()[1])
            open_calls[pid] = (at, names.get(number, str(number)))
        elif event == "sys_exit" and pid in open_calls:
            start, call = open_calls.pop(pid)
            calls.append((start, (at - start) * 1e6, pid, command, call))
        elif event == "sched_process_exit":
            start, call = open_calls.pop(pid, (at, "exit"))
            calls.append((start, (at - start) * 1e6, pid, command, call))
    return sorted(calls)


WAITING = {"epoll_wait", "poll", "wait4", "waitid", "recvmsg", "read", "ppoll"}


def last_launch(calls, launcher):
    """From the launcher's last wake-up that a message led to."""
    clones = [i for i, c in enumerate(calls) if c[2] == launcher and c[4] == "recvmsg"]
    if not clones:
        sys.exit("launch_trace: no launch was seen")
    first = clones[-1]
    while first > 0 and not (calls[first][4] == "epoll_wait" and calls[first][2] == launcher):
        first -= 1
    start = calls[first][0] + calls[first][1] / 1e6
    return [c for c in calls if c[0] >= start], start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pid", type=int)
    parser.add_argument("--least", type=float, default=20.0)
    parser.add_argument("--whole", action="store_true",
                        help="all that was traced, not the last launch alone")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    trace = Trace(options.pid)
    try:
        subprocess.run(options.command, check=False, stdout=subprocess.DEVNULL)
        calls = parse(trace.lines(), syscall_names())
    finally:
        trace.close()
    shown, start = (calls, calls[0][0]) if options.whole else last_launch(calls, options.pid)
    sums = collections.defaultdict(lambda: [0.0, 0])
    for at, took, pid, command, call in shown:
        if took >= options.least:
            print(f"{(at - start) * 1e6:9.0f} us {took:8.0f} us  {command}-{pid}  {call}")
        if call not in WAITING:
            entry = sums[(command, call)]
            entry[0] += took
            entry[1] += 1
    print("\nsums (without waiting)")
    for (command, call), (took, count) in sorted(sums.items(), key=lambda item: -item[1][0])[:40]:
        print(f"{took:9.0f} us {count:5}  {command}  {call}")


if __name__ == "__main__":
    main()
