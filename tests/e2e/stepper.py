"""Holds a process with all its threads before each of its system calls, and kills it there; or has
one of its calls fail; or holds one thread before one call while the others go on.

By ptrace alone: nothing in the program helps. Between two calls a thread only changes memory
that dies with it, so "before each call" is every state that anybody else can find. One Stepper at
a time, from one thread of Python, which must have no other children meanwhile. Source: ptrace(2).
"""

import ctypes
import errno
import os
import signal
import time

SEIZE, INTERRUPT, SYSCALL, DETACH, SYSCALL_INFO = 0x4206, 0x4207, 24, 17, 0x420E
GET_REGISTERS, SET_REGISTERS = 12, 13
REGISTERS, RAX, ORIGINAL_RAX = 27, 10, 15  # user_regs_struct of x86-64
SYSGOOD, FOLLOW_THREADS = 1, 8
WALL = 0x40000000
ENTRY = 1
PAUSE_S = 0.0002

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, tid, address=0, data=0):
    """False when the thread is gone."""
    if libc.ptrace(request, tid, address, data) >= 0:
        return True
    if ctypes.get_errno() == errno.ESRCH:
        return False
    raise OSError(ctypes.get_errno(), "ptrace")


class SyscallInfo(ctypes.Structure):
    _fields_ = [("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
                ("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64), ("number", ctypes.c_uint64),
                ("arguments", ctypes.c_uint64 * 6)]


def set_register(tid, index, value):
    registers = (ctypes.c_uint64 * REGISTERS)()
    ptrace(GET_REGISTERS, tid, 0, ctypes.addressof(registers))
    registers[index] = ctypes.c_uint64(value).value
    ptrace(SET_REGISTERS, tid, 0, ctypes.addressof(registers))


class Stepper:
    def __init__(self, *pids, threads=True):
        """Several: as if they were one, but to be killed. `threads`: those to come, too; not of one
        that makes processes, which could be taken for threads."""
        self.pid, self.pids, self.calls, self.last = pids[0], pids, 0, None
        self.refused = None  # the number of the call that was
        for tid in self.threads():
            if ptrace(SEIZE, tid, 0, SYSGOOD | (FOLLOW_THREADS if threads else 0)):
                ptrace(INTERRUPT, tid)

    def threads(self):
        found = []
        for pid in self.pids:
            try:
                found += map(int, os.listdir(f"/proc/{pid}/task"))
            except FileNotFoundError:
                pass
        return found

    def run_until(self, done, kill_before):
        """Lets it run until done() or its call number `kill_before` (from 1), where it is killed.

        True when it was killed. Then, as in any case, it is traced no more.
        """
        while True:
            tid, status = self.next_event()
            if tid == 0:
                if done():
                    self.let_go()
                    return False
                time.sleep(PAUSE_S)
            elif tid < 0:
                raise AssertionError("it died by itself")
            elif os.WIFSTOPPED(status) and self.enters_call(tid, status):
                self.calls += 1
                if self.calls == kill_before:
                    self.kill()
                    return True
                ptrace(SYSCALL, tid)
            elif os.WIFSTOPPED(status):
                ptrace(SYSCALL, tid, 0, self.signal_of(status))

    def hold(self, thread, number, until):
        """The thread of that name stands before its next call of that number, and the others go on,
        until until(). The thread's id. Goes on with kill() or refuse_held()."""
        held = 0
        while not held or not until():
            tid, status = self.next_event()
            if tid == 0:
                time.sleep(PAUSE_S)
            elif tid < 0:
                raise AssertionError("it died by itself")
            elif os.WIFSTOPPED(status):
                enters = self.enters_call(tid, status)
                if enters and not held and self.last == number and self.name_of(tid) == thread:
                    held = tid
                    continue
                ptrace(SYSCALL, tid, 0, 0 if enters else self.signal_of(status))
        return held

    def refuse_held(self, held, number, error, done):
        """The call it stands before, and all of that number by its thread, fail; until done()."""
        refused = {held}
        set_register(held, ORIGINAL_RAX, -1)
        ptrace(SYSCALL, held)
        while not done():
            tid, status = self.next_event()
            if tid == 0:
                time.sleep(PAUSE_S)
            elif tid < 0:
                raise AssertionError("it died by itself")
            elif os.WIFSTOPPED(status):
                if self.enters_call(tid, status):
                    if tid == held and self.last == number:
                        set_register(tid, ORIGINAL_RAX, -1)
                        refused.add(tid)
                elif tid in refused:
                    set_register(tid, RAX, -error)
                    refused.discard(tid)
                ptrace(SYSCALL, tid, 0, self.signal_of(status))
        self.let_go()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.reap()

    def name_of(self, tid):
        with open(f"/proc/{self.pid}/task/{tid}/comm", encoding="ascii") as comm:
            return comm.read().strip()

    def run_refusing(self, done, errors, which):
        """Lets it run until done(); the call number `which` (from 1) of those in `errors`, {number:
        errno}, is not made and fails so. True when there was one. Then it is traced no more.
        """
        refused, failing = False, {}
        while True:
            tid, status = self.next_event()
            if tid <= 0:
                if tid < 0 or done():
                    self.let_go()
                    return refused
                time.sleep(PAUSE_S)
            elif os.WIFSTOPPED(status) and self.enters_call(tid, status):
                if self.last in errors:
                    self.calls += 1
                    if self.calls == which:
                        set_register(tid, ORIGINAL_RAX, -1)
                        failing[tid], refused = errors[self.last], True
                        self.refused = self.last
                ptrace(SYSCALL, tid)
            elif os.WIFSTOPPED(status):
                if tid in failing and os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                    set_register(tid, RAX, -failing.pop(tid))
                ptrace(SYSCALL, tid, 0, self.signal_of(status))

    @staticmethod
    def next_event():
        try:
            return os.waitpid(-1, WALL | os.WNOHANG)
        except ChildProcessError:
            return -1, 0

    def enters_call(self, tid, status):
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            return False
        info = SyscallInfo()
        ptrace(SYSCALL_INFO, tid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == ENTRY:
            self.last = info.number
        return info.op == ENTRY

    @staticmethod
    def signal_of(status):
        """To be delivered; none for what is ptrace's own."""
        number = os.WSTOPSIG(status)
        ours = status >> 16 != 0 or number & 0x80 or number == signal.SIGTRAP
        return 0 if ours else number

    def reap(self):
        while self.next_event()[0] >= 0:
            time.sleep(PAUSE_S)

    def let_go(self):
        left = set(self.threads())
        for tid in left:
            ptrace(INTERRUPT, tid)
        while left:
            tid, status = self.next_event()
            if tid < 0:
                return
            if tid > 0:
                left.discard(tid)
                if os.WIFSTOPPED(status):
                    ptrace(DETACH, tid, 0, self.signal_of(status))
