"""Holds a process with all its threads before each of its system calls, and kills it there; or
holds one thread before one call while the others go on, and lets that call fail.

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
SYSGOOD, FOLLOW_THREADS = 1, 8
POKE_USER, ORIG_RAX, RAX = 6, 15 * 8, 10 * 8  # x86_64: struct user_regs_struct
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


class Stepper:
    def __init__(self, pid):
        self.pid, self.calls, self.last = pid, 0, None
        for tid in map(int, os.listdir(f"/proc/{pid}/task")):
            if ptrace(SEIZE, tid, 0, SYSGOOD | FOLLOW_THREADS):
                ptrace(INTERRUPT, tid)

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
        ptrace(POKE_USER, held, ORIG_RAX, ctypes.c_ulong(-1).value)
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
                        ptrace(POKE_USER, tid, ORIG_RAX, ctypes.c_ulong(-1).value)
                        refused.add(tid)
                elif tid in refused:
                    ptrace(POKE_USER, tid, RAX, ctypes.c_ulong(-error).value)
                    refused.discard(tid)
                ptrace(SYSCALL, tid, 0, self.signal_of(status))
        self.let_go()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.reap()

    def name_of(self, tid):
        with open(f"/proc/{self.pid}/task/{tid}/comm", encoding="ascii") as comm:
            return comm.read().strip()

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
        left = {int(tid) for tid in os.listdir(f"/proc/{self.pid}/task")}
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
