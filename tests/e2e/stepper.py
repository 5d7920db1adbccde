"""Holds processes with all their threads before each of their system calls, and kills one there; or
has one of the calls fail; or holds one thread before one call while the others go on.

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
SYSGOOD, FOLLOW_FORKS, FOLLOW_THREADS = 1, 2 | 4, 8
WALL = 0x40000000
ENTRY = 1
PAUSE_S = 0.0002
FULL = os.environ.get("TARE_KILL_MATRIX") == "full"

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


def some(count, tries):
    """The numbers of calls that are tried, from 1: so many, spread over them; in the full matrix
    all."""
    if FULL or count <= tries:
        return range(1, count + 1)
    return [1 + (2 * i + 1) * count // (2 * tries) for i in range(tries)]


def assert_swept(test, what, count, tried, met, least=20):
    """There were at least so many calls, and at every second number that was tried something was
    done: else nothing was shown. (Two lives of one thing differ by some calls.)"""
    test.assertGreaterEqual(count, least, f"calls of {what}")
    test.assertGreaterEqual(len(tried), min(2, count), f"tried calls of {what}")
    test.assertGreaterEqual(2 * met, len(tried), f"{what} was over before")


class SyscallInfo(ctypes.Structure):
    _fields_ = [("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
                ("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64), ("number", ctypes.c_uint64),
                ("arguments", ctypes.c_uint64 * 6)]


def tasks(pid):
    try:
        return [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def process_of(tid):
    with open(f"/proc/{tid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))


def set_register(tid, index, value):
    registers = (ctypes.c_uint64 * REGISTERS)()
    ptrace(GET_REGISTERS, tid, 0, ctypes.addressof(registers))
    registers[index] = ctypes.c_uint64(value).value
    ptrace(SET_REGISTERS, tid, 0, ctypes.addressof(registers))


class Stepper:
    def __init__(self, *pids, mortal=False, adopts=None):
        """`mortal`: they may end by themselves. `adopts`: which processes that they make are taken
        for theirs, adopts(pid), asked when it begins; none, when it is not given."""
        self.pids, self.mortal, self.calls, self.last = list(pids), mortal, 0, None
        self.adopts = adopts
        self.arguments = []  # of the last call
        self.refused = None  # the number of the call that was
        self.held = 0  # a thread
        self.known = {}  # the processes of threads
        for tid in [tid for pid in pids for tid in tasks(pid)]:
            follow = FOLLOW_THREADS | (FOLLOW_FORKS if adopts else 0)
            if ptrace(SEIZE, tid, 0, SYSGOOD | follow):
                ptrace(INTERRUPT, tid)

    def stops(self, done):
        """Each stop of theirs, as (thread, status, is it about to make a call), until done(),
        which is asked when none has stopped. It goes on when the next one is asked for, but for
        self.held."""
        while True:
            tid, status = self.next_stop()
            if tid == 0:
                if done():
                    return
                continue
            enters = self.enters_call(tid, status)
            yield tid, status, enters
            if tid != self.held:
                ptrace(SYSCALL, tid, 0, 0 if enters else self.signal_of(status))

    def run_until(self, done, kill_before):
        """Lets them run until done() or their call number `kill_before` (from 1): the one that is
        about to make it is killed.

        True when one was killed. Then, as in any case, none is traced any more.
        """
        for tid, _, enters in self.stops(done):
            self.calls += enters
            if enters and self.calls == kill_before:
                self.kill(process_of(tid))
                return True
        self.let_go()
        return False

    def run_refusing(self, done, errors, which, lasting=False, of=lambda tid: True):
        """Lets them run until done(); the call number `which` (from 1) of those in `errors`,
        {number: errno}, is not made and fails so. True when there was one. Then none is traced any
        more. `lasting`: so do all that come behind it. `of`: whose calls count, of(tid).
        """
        failing = {}
        self.mortal = True  # they may well end of it
        for tid, status, enters in self.stops(done):
            if enters and self.last in errors and of(tid):
                self.calls += 1
                if self.calls == which or (lasting and 0 < which < self.calls):
                    set_register(tid, ORIGINAL_RAX, -1)
                    failing[tid], self.refused = errors[self.last], self.last
            elif not enters and tid in failing and self.is_at_call(status):
                set_register(tid, RAX, -failing.pop(tid))
        self.let_go()
        return self.refused is not None

    def hold(self, thread, number, until):
        """The thread of that name stands before its next call of that number, and the others go on,
        until until(). The thread's id. Goes on with kill() or refuse_held()."""
        for tid, _, enters in self.stops(lambda: self.held and until()):
            if enters and not self.held and self.last == number and self.name_of(tid) == thread:
                self.held = tid
        return self.held

    def go_on(self):
        """Also the one that is held; none is traced any more."""
        held, self.held = self.held, 0
        ptrace(SYSCALL, held)
        self.let_go()

    def refuse_held(self, held, number, error, done):
        """The call it stands before, and all of that number by its thread, fail; until done()."""
        failing, self.held = True, 0
        set_register(held, ORIGINAL_RAX, -1)
        ptrace(SYSCALL, held)
        for tid, _, enters in self.stops(done):
            if tid == held and enters and self.last == number:
                failing = True
                set_register(held, ORIGINAL_RAX, -1)
            elif tid == held and failing:
                failing = False
                set_register(held, RAX, -error)
        self.let_go()

    def next_stop(self):
        """One of theirs that has stopped, and why; 0 when none has."""
        tid, status = self.next_event()
        if tid < 0 and not self.mortal:
            raise AssertionError("it died by itself")
        if tid > 0 and os.WIFSTOPPED(status):
            if not self.is_foreign(tid):
                return tid, status
            ptrace(DETACH, tid)
        if tid <= 0:
            time.sleep(PAUSE_S)
        return 0, 0

    @staticmethod
    def name_of(tid):
        with open(f"/proc/{tid}/comm", encoding="ascii") as comm:
            return comm.read().strip()

    def is_foreign(self, tid):
        """A process that one of them has made by clone(2), as the kernel does not tell it from a
        thread."""
        if tid not in self.known:
            try:
                self.known[tid] = process_of(tid)
            except FileNotFoundError:
                return False
            if self.adopts and self.known[tid] not in self.pids and self.adopts(tid):
                self.pids.append(tid)
        return self.known[tid] not in self.pids

    @staticmethod
    def next_event():
        try:
            return os.waitpid(-1, WALL | os.WNOHANG)
        except ChildProcessError:
            return -1, 0

    @staticmethod
    def is_at_call(status):
        """Before it, or behind it."""
        return os.WSTOPSIG(status) == signal.SIGTRAP | 0x80

    def enters_call(self, tid, status):
        if not self.is_at_call(status):
            return False
        info = SyscallInfo()
        ptrace(SYSCALL_INFO, tid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == ENTRY:
            self.last, self.arguments = info.number, list(info.arguments)
        return info.op == ENTRY

    @staticmethod
    def signal_of(status):
        """To be delivered; none for what is ptrace's own."""
        number = os.WSTOPSIG(status)
        ours = status >> 16 != 0 or number & 0x80 or number == signal.SIGTRAP
        return 0 if ours else number

    def kill(self, pid):
        """Waits for its end, which comes after those of all its threads; the others go on."""
        os.kill(pid, signal.SIGKILL)
        self.pids.remove(pid)
        while True:
            tid, status = self.next_event()
            if tid < 0 or (tid == pid and not os.WIFSTOPPED(status)):
                break
            if tid == 0:
                time.sleep(PAUSE_S)
            elif os.WIFSTOPPED(status):
                ptrace(DETACH if self.is_foreign(tid) else SYSCALL, tid, 0, self.signal_of(status))
        self.let_go()

    def let_go(self):
        left = {tid for pid in self.pids for tid in tasks(pid)}
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
