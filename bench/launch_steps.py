#!/usr/bin/env python3
"""Where the time of a launch, a claim or a kill goes: a table of steps that add up.

    bench/launch_steps.py {fresh,claim,kill} [--n 200]

Runs the row `fresh` (without its peers), `claim_api` or `kill_reap` of the sandbox benchmark and
traces it and all that it starts, as launch_trace.py does. A step goes from the last one's end to an
event of the process that the launch waits for there, so that the steps of one launch are its whole
time. For each are printed its median, and its mean in those launches whose whole time is in the
quickest fifth, the middle one (it adds up to the median of the whole), and the slowest twentieth.
`rest`: by how much a column's sum differs from what the whole took: medians do not add up. Last,
for how long no process of the benchmark was on any processor: others were, or the kernel's threads,
or all slept. Needs root, tracefs, and a built tree.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys

from launch_trace import LINE, Trace, syscall_names

BENCH = os.environ.get("TARE_BIN_DIR", os.path.join(os.path.dirname(__file__), "../build/bin"))
FORKED = re.compile(r"child_pid=(\d+)")
SWITCHED = re.compile(r"prev_pid=(\d+) .*prev_state=(\S+) ==> .*next_pid=(\d+)")
CPU = re.compile(r"\[(\d+)\]")


class Missing(Exception):
    pass


class Events:
    """Of one launch, as (seconds, command, pid, kind, name, value), with a place to go on from."""

    def __init__(self, events):
        self.events = events
        self.at = 0
        self.steps = []  # (name, seconds)
        self.since = self.begin = None

    def find(self, matches):
        for i in range(self.at, len(self.events)):
            if matches(self.events[i]):
                self.at = i
                return self.events[i]
        raise Missing

    def step(self, name, matches):
        found = self.find(matches)
        if self.since is not None:
            self.steps.append((name, found[0] - self.since))
        else:
            self.begin = found[0]
        self.since = found[0]
        self.at += 1
        return found

    def back_to(self, event):
        self.at = self.events.index(event)


def enter(who, name):
    return lambda e: e[3] == "enter" and who in (e[1], e[2]) and e[4] == name


def leave(who, name, value=lambda value: True):
    return lambda e: e[3] == "exit" and who in (e[1], e[2]) and e[4] == name and value(e[5])


def any_call(pid):
    return lambda e: e[3] == "enter" and e[2] == pid


def events_of(lines):
    names, running, events = syscall_names(), {}, []
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        command, pid, at, event, rest = found.groups()
        command, pid, at = command.strip(), int(pid), float(at)
        if event == "sys_enter":
            number = int(rest.split()[1])
            running[pid] = names.get(number, str(number))
            events.append((at, command, pid, "enter", running[pid], 0))
        elif event == "sys_exit":
            call = running.pop(pid, names.get(int(rest.split()[1]), ""))
            events.append((at, command, pid, "exit", call, int(rest.split("= ")[1])))
        elif event == "sched_process_fork":
            events.append((at, command, pid, "fork", "", int(FORKED.search(rest).group(1))))
        elif event == "sched_process_exit":
            events.append((at, command, pid, "ends", "", 0))
        elif event == "sched_switch":
            left, state, came = SWITCHED.search(rest).groups()
            if state[0] in "XZ":
                events.append((at, command, int(left), "gone", "", 0))
            cpu = int(CPU.search(line).group(1))
            events.append((at, command, int(came), "switch", "", cpu))
    return events


def idle_spans(events):
    """When no processor had a process that was traced, as (begin, end)."""
    ours = {e[2] for e in events if e[3] == "enter"} | {e[5] for e in events if e[3] == "fork"}
    running, spans, since = {}, [], None
    for at, _, pid, kind, _, cpu in events:
        if kind != "switch":
            continue
        if since is not None:
            spans.append((since, at))
        running[cpu] = pid in ours
        since = None if any(running.values()) else at
    return spans


LONG = 100  # bytes: an order to a maker, or the message of an end, and no other of theirs


def fresh(events):
    """One launch, from the client's first call for it until the end is read."""
    go = Events(events)
    go.step("", enter("bench_sandbox", "memfd_create"))
    go.step("client: plans in memfds, pipes", enter("bench_sandbox", "sendmsg"))
    go.step("launcher wakes", leave("tare-launcher", "epoll_wait"))
    size = go.step("launcher: the message, an order to a maker",
                   leave("tare-launcher", "sendmsg", lambda value: value > LONG))[5]
    # The maker has its order before the call that sent it returns.
    go.at = 0
    maker = go.step("maker wakes", leave("tare-maker", "recvmsg", lambda value: value == size))[2]
    go.step("maker: scratch space", leave(maker, "fchmodat"))
    go.step("maker: cgroups made, with their limits", enter(maker, "open_tree"))
    go.step("maker: the root put together, with its overlay", enter(maker, "socketpair"))
    go.step("maker: to the call of clone3", enter(maker, "clone3"))
    init = go.find(lambda e: e[2] == maker and e[3] == "fork")[5]
    go.step("clone3, with a network namespace", leave(maker, "clone3"))
    go.step("maker: ids, attached to the cgroups, told to go",
            leave(maker, "sendmsg", lambda value: value == 1))
    go.at = 0
    go.step("tare-init wakes, takes its ids", enter(init, "execveat"))
    go.step("execve of tare-init", enter(init, "setsid"))
    go.step("tare-init: cgroup namespace, lo up", leave(init, "ioctl"))
    go.step("tare-init: proc, pivot_root", enter(init, "umount2"))
    go.step("umount2 of the old root", leave(init, "umount2"))
    go.step("tare-init: mounts and masks, files, capabilities", enter(init, "clone"))
    program = go.find(lambda e: e[2] == init and e[3] == "fork")[5]
    go.step("fork of the waiting process", any_call(program))
    go.step("waiting process: signals, ids, Landlock", enter(program, "seccomp"))
    go.step("its filter", leave(program, "seccomp"))
    go.step("tare-init wakes, says it is prepared", enter(init, "poll"))
    go.step("tare-init: the run's plan, hostname, two files, ids", enter(init, "sendmsg"))
    go.step("waiting process wakes", leave(program, "recvmsg"))
    go.step("waiting process: descriptors, limits, gate", enter(program, "execve"))
    leave_execve = go.find(leave(program, "execve"))
    go.step("execve of the program", lambda e: any_call(program)(e) and e[0] > leave_execve[0])
    go.step("the program", lambda e: e[2] == program and e[3] == "ends")
    go.step("its memory taken down; tare-init wakes, reaps",
            leave(init, "wait4", lambda value: value > 0))
    go.step("tare-init: looks for others, tells", enter(init, "sendmsg"))
    go.step("launcher wakes", leave("tare-launcher", "epoll_wait"))
    go.step("launcher: usage read, the end told",
            leave("tare-launcher", "sendmsg", lambda value: value > LONG))
    go.at = 0
    go.step("client wakes, reads the end",
            leave("bench_sandbox", "recvmsg", lambda value: value > LONG))
    return go.begin, go.steps


def kill(events):
    """One kill, from the client's message for it until the end is read."""
    signals = [i for i, e in enumerate(events) if leave("tare-launcher", "pidfd_send_signal")(e)]
    if not signals:
        raise Missing
    first = max(i for i in range(signals[0]) if enter("bench_sandbox", "sendmsg")(events[i]))
    go = Events(events[first:])
    go.step("", enter("bench_sandbox", "sendmsg"))
    go.step("launcher wakes", leave("tare-launcher", "epoll_wait"))
    go.step("launcher: the message, SIGKILL", leave("tare-launcher", "pidfd_send_signal"))
    end = go.find(leave("tare-launcher", "sendmsg", lambda value: value > LONG))
    go.at = 0
    init = go.step("tare-init begins to exit, signals all others",
                   lambda e: e[1] == "tare-init" and e[3] == "ends")[2]
    inside = {e[2] for e in go.events[go.at:] if e[3] == "ends" and e[0] < end[0]}
    inside -= {init}
    last = max((e for e in go.events[go.at:] if e[2] in inside and e[3] == "ends"),
               key=lambda e: e[0])
    go.step("the first of the others begins to exit", lambda e: e[2] in inside and e[3] == "ends")
    go.step("the last of them does", lambda e: e == last)
    go.step("it has exited: memory taken down", lambda e: e[2] == last[2] and e[3] == "gone")
    go.step("tare-init has reaped them and exits; launcher wakes",
            leave("tare-launcher", "epoll_wait"))
    go.step("launcher: usage read, the end told", leave("tare-launcher", "sendmsg",
                                                       lambda value: value > LONG))
    go.at = 0
    go.step("client wakes, reads the end",
            leave("bench_sandbox", "recvmsg", lambda value: value > LONG))
    return go.begin, go.steps


def claim(events):
    """One claim through the API, from the client's request until its program begins."""
    go = Events(events)
    go.step("", enter("bench_sandbox", "write"))
    go.step("tared wakes", leave("tared", "epoll_pwait2", lambda value: value > 0))
    go.step("tared: the request read, its row handed to the thread that commits",
            enter("tared", "futex"))
    sent = go.step("tared: plan in a memfd, pipes, the message", enter("tared", "sendmsg"))
    size = go.find(leave("tared", "sendmsg", lambda value: value > LONG))[5]
    go.back_to(sent)
    go.step("launcher wakes", leave("tare-launcher", "recvmsg", lambda value: value == size))
    go.step("launcher: the message, sent on", enter("tare-launcher", "sendmsg"))
    init = go.step("tare-init wakes", lambda e: leave("tare-init", "recvmsg")(e) and e[5] == 1)[2]
    told = go.step("tare-init: the run's plan, hostname, two files, ids", enter(init, "sendmsg"))
    program = go.find(lambda e: e[3] == "enter" and e[4] == "execve")[2]
    go.back_to(told)
    go.step("waiting process wakes", leave(program, "recvmsg", lambda value: value == 1))
    go.step("waiting process: descriptors, limits, folder", enter(program, "read"))
    go.step("the gate: open already, or tared is waited for", leave(program, "read"))
    go.step("waiting process: says that it begins", enter(program, "execve"))
    go.step("execve of the program", leave(program, "execve"))
    return go.begin, go.steps


def traced(command):
    """The lines of the trace of a command and all that it forks, and what it printed."""
    read, write = os.pipe()
    with subprocess.Popen(["/bin/sh", "-c", 'read go <&3; exec 3<&-; exec "$@"', "sh", *command],
                          pass_fds=(read,), stdout=subprocess.PIPE, text=True,
                          preexec_fn=lambda: os.dup2(read, 3)) as process:
        trace = Trace(process.pid)
        try:
            trace.write("buffer_size_kb", "98304")
            for event in ("sched_process_fork", "sched_switch"):
                trace.write(f"events/sched/{event}/enable", "1")
            os.write(write, b"\n")
            said = process.communicate()[0]
            return trace.lines(), said
        finally:
            trace.close()


def print_table(launches, idle):
    """Of (begin, steps)."""
    def whole(launch):
        return sum(took for _, took in launch[1])

    def idle_in(launch):
        begin, end = launch[0], launch[0] + whole(launch)
        return sum(max(0.0, min(end, till) - max(begin, since)) for since, till in idle)

    ordered = sorted(launches, key=whole)
    count = len(ordered)
    middle = ordered[count * 2 // 5:max(count * 3 // 5, count * 2 // 5 + 1)]
    columns = ((statistics.median, ordered), (statistics.mean, ordered[:max(1, count // 5)]),
               (statistics.mean, middle),
               (statistics.mean, ordered[-max(1, count // 20):]))

    def row(name, of):
        took = [average(map(of, some)) * 1e3 for average, some in columns]
        print(f"| {name} | " + " | ".join(f"{one:.2f}" for one in took) + " |")
        return took

    print("| step | p50, ms | quickest fifth | middle fifth | slowest twentieth |")
    print("|---|---|---|---|---|")
    steps = [row(name, lambda launch, i=i: launch[1][i][1])
             for i, (name, _) in enumerate(ordered[0][1])]
    sums = [sum(column) for column in zip(*steps)]
    wholes = [average(map(whole, some)) * 1e3 for average, some in columns]
    print("| rest | " + " | ".join(f"{one - sum_:.2f}" for one, sum_ in zip(wholes, sums)) + " |")
    row("in all", whole)
    row("of it, none of its processes ran", idle_in)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fresh", "claim", "kill"))
    parser.add_argument("--n", type=int, default=200)
    options = parser.parse_args()
    row = {"fresh": ("fresh", "--alone"), "claim": ("claim_api",),
           "kill": ("kill_reap",)}[options.what]
    rounds = options.n * (2 if options.what == "kill" else 1)
    lines, said = traced([f"{BENCH}/bench_sandbox", "--only", *row, "--n", str(rounds)])
    events = events_of(lines)
    # A launch begins with the client's first of two memfds, a claim with the pause before it.
    call, every = ("clock_nanosleep", 2) if options.what == "claim" else ("memfd_create", 2)
    starts = [i for i, e in enumerate(events) if enter("bench_sandbox", call)(e)][::every]
    launches, lost = [], 0
    for start, end in zip(starts, [*starts[1:], len(events)]):
        try:
            steps_of = {"fresh": fresh, "claim": claim, "kill": kill}[options.what]
            launches.append(steps_of(events[start:end]))
        except Missing:
            lost += 1
    if not launches:
        sys.exit("launch_steps: no launch was seen whole")
    print_table(launches, idle_spans(events))
    print(f"\n{len(launches)} launches, {lost} not seen whole; the row itself, traced: {said}",
          file=sys.stderr)


if __name__ == "__main__":
    main()
