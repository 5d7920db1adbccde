"""What the end-to-end tests share: a home of its own for each test class, with real daemons in it.

    class Exits(harness.TareTest):
        def test_...(self): result = self.home.run("--env", "host", "--", "true")

The programs are those in $TARE_BIN_DIR (set by ctest). After a class its daemons are ended and the
leak audit must find nothing of the home: no process, cgroup, mount or loop device; then the home is
removed. Processes are found by what names the home, never by their name. Time-outs are only there
so that a hanging test ends: nothing here judges speed.
"""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

PATIENCE = int(os.environ.get("TARE_TEST_PATIENCE", "1"))  # as tests/support/patience.h
TIMEOUT_S = 180 * PATIENCE  # of one command or one wait; a slow machine needs a part of it
BIN = Path(os.environ.get("TARE_BIN_DIR", Path(__file__).parents[2] / "build" / "bin"))


def wait_until(condition, what, timeout_s=TIMEOUT_S):
    """The first true value of condition(); fails with `what` when there is none in time."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(0.02)
    return value


def read_text(path):
    """A file of /proc or /sys; "" when it is gone."""
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def pids():
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def mounts():
    """(where, file system) of each mount that we see."""
    lines = [line.split() for line in read_text("/proc/self/mountinfo").splitlines()]
    return [(fields[4], fields[fields.index("-") + 1]) for fields in lines]


def status_of(pid):
    """/proc/PID/status as {name: value}."""
    lines = (line.partition(":") for line in read_text(f"/proc/{pid}/status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def sigkill(pid):
    """Kills it and waits until it is gone (a zombie is gone enough)."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until(lambda: status_of(pid).get("State", "Z")[0] in "ZX", f"the end of process {pid}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=TIMEOUT_S):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def ask(connection, method, path, body=None, headers=None):
    """One request on a connection of its own; a dict is sent as JSON."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Home:
    """A $TARE_HOME and what is in it."""

    def __init__(self, folder="/tmp"):
        self.path = Path(tempfile.mkdtemp(prefix="te-", dir=folder))
        self.path.chmod(0o755)
        self.tag = "tare-" + hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
        self.environment = {"TARE_HOME": str(self.path), "PATH": os.environ["PATH"],
                            "LANG": "C.UTF-8"}
        self.pool = None  # of `tare up`

    # ---- the CLI ----

    def popen(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("env", self.environment)
        return subprocess.Popen([BIN / "tare", *map(str, arguments)], **options)

    def tare(self, *arguments, data=None, timeout=TIMEOUT_S, **options):
        """`tare ARGUMENTS`; stdin is `data`. Returns returncode, stdout and stderr (bytes)."""
        if data is not None:
            options["stdin"] = subprocess.PIPE
        with self.popen(*arguments, **options) as process:
            try:
                out, err = process.communicate(data, timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def must(self, *arguments, **options):
        """As tare(); fails unless it exits with 0."""
        result = self.tare(*arguments, **options)
        if result.returncode != 0:
            raise AssertionError(f"tare {' '.join(map(str, arguments))}: status "
                                 f"{result.returncode}: {result.stderr.decode()}{self.logs()}")
        return result

    def host(self, *command, options=(), **more):
        """`tare run --env host OPTIONS -- COMMAND`."""
        return self.tare("run", "--env", "host", *options, "--", *command, **more)

    def detached(self, *command, options=()):
        """Starts a run in the background; its id."""
        started = self.must("run", "--env", "host", "--detach", *options, "--", *command)
        return started.stdout.decode().strip()

    def inspect(self, run):
        return json.loads(self.must("inspect", run).stdout)

    def wait_ended(self, run):
        return wait_until(lambda: ended(self.inspect(run)), f"the end of {run}")

    # ---- the API ----

    def request(self, method, path, body=None, headers=None):
        """Over the unix socket."""
        return ask(UnixConnection(self.path / "run/tared.sock"), method, path, body, headers)

    def program_pid(self, name):
        programs = self.request("GET", "/v1/health").json["programs"]
        return next(program["pid"] for program in programs if program["name"] == name)

    # ---- the daemons ----

    def up(self):
        waiting = [] if self.pool is None else ["--pool", str(self.pool)]
        return self.must("up", "--detach", "--port", "0", *waiting)

    def down(self):
        return self.must("down")

    def processes(self):
        """Pids of all that belongs to this home: daemons, clients and sandboxed processes."""
        mark = str(self.path).encode()
        found = []
        for pid in pids():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if mark in command or self.tag in read_text(f"/proc/{pid}/cgroup"):
                found.append(pid)
        return found

    def sandboxed(self):
        """Pids of those that run in sandboxes of this home."""
        return [pid for pid in self.processes() if self.tag in read_text(f"/proc/{pid}/cgroup")]

    def programs(self):
        """Of those, the agents': sandboxes that wait, or are being made, have none."""
        ours = ("", "tare-init\n", "tare-maker\n")
        return [pid for pid in self.sandboxed() if read_text(f"/proc/{pid}/comm") not in ours]

    def store_jobs(self):
        """Pids of those that are at work for tare-store: one each request."""
        lines = [read_text(task / "children")
                 for task in Path(f"/proc/{self.program_pid('tare-store')}/task").iterdir()]
        return [int(pid) for line in lines for pid in line.split()]

    def cgroups(self):
        """The folders of this home in every hierarchy, and where one was handed to us."""
        tops = [Path(point) for point, kind in mounts() if kind in ("cgroup", "cgroup2")]
        own = re.search(r"(?m)^0::(/.*)$", read_text("/proc/self/cgroup"))
        unified = [Path(point) for point, kind in mounts() if kind == "cgroup2"]
        if own and unified:
            tops += [top for top in (unified[0] / own[1].lstrip("/")).parents
                     if unified[0] in top.parents]
            tops.append(unified[0] / own[1].lstrip("/"))
        return [folder for top in tops for folder in top.glob(f"{self.tag}*")]

    def leaks(self):
        """What is left of this home outside its folder, one line each."""
        found = [f"process {pid}: {read_text(f'/proc/{pid}/cmdline')!r}"
                 for pid in self.processes()]
        found += [f"cgroup {path}" for path in self.cgroups()]
        found += [f"mount {point}" for point, _ in mounts() if point.startswith(str(self.path))]
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            if str(self.path) in read_text(backing):
                found.append(f"loop device {backing}")
        return found

    def logs(self):
        """The ends of what the daemons logged, for the message of a failure."""
        return "".join(f"\n{log.name}: ...\n{read_text(log)[-4000:]}"
                       for log in sorted(self.path.glob("log/*.log")))

    def sweep(self):
        """After a failure: what is left must not disturb the tests that follow."""
        for pid in self.processes():
            sigkill(pid)
        for top in self.cgroups():
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass  # its last process is still on its way out

    def close(self):
        """Ends the daemons, looks for leaks, removes the home."""
        down = self.tare("down")
        try:  # loop devices and zombies go a moment after their last user
            wait_until(lambda: not self.leaks(), "the end of everything", 20)
        except AssertionError:
            pass
        found = self.leaks()
        logs = self.logs()
        self.sweep()
        shutil.rmtree(self.path)
        if found:
            raise AssertionError("left behind:\n  " + "\n  ".join(found) + logs)
        if down.returncode not in (0, 69):
            raise AssertionError(f"tare down: {down.returncode}: {down.stderr.decode()}{logs}")


@contextlib.contextmanager
def one_at_once(folder):
    """Within it `tare up` starts a tared, from `folder`, that runs one sandbox at once."""
    global BIN
    before = BIN
    folder.mkdir()
    for program in before.iterdir():
        if program.name == "tare":
            shutil.copy2(program, folder / program.name)
        elif program.name != "tared":
            (folder / program.name).symlink_to(program)
    (folder / "tared").write_text(f'#!/bin/sh\nexec {before}/tared "$@" --max-running 1\n')
    (folder / "tared").chmod(0o755)
    BIN = folder
    try:
        yield
    finally:
        BIN = before


def ended(run):
    """The run when it has ended, else None."""
    return run if run["state"] in ("succeeded", "failed", "cancelled") else None


class TareTest(unittest.TestCase):
    """A class of tests with daemons of its own: self.home."""

    starts_daemons = True
    pool = None  # so many empty sandboxes wait at most; None: as users have it

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: sandboxes are made by a root service")
        if not (BIN / "tared").exists():
            raise AssertionError(f"no programs in {BIN}: build them, or set TARE_BIN_DIR")
        cls.home = Home()
        cls.home.pool = cls.pool
        cls.addClassCleanup(cls.home.close)
        if cls.starts_daemons:
            cls.home.up()

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="te-files-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def assert_status(self, result, status):
        self.assertEqual(result.returncode, status, result.stderr.decode(errors="replace"))

    def starts_of(self, run):
        """How often the launcher has started it."""
        log = read_text(self.home.path / "log/tare-launcher.log")
        return sum("sandbox started" in line and run in line for line in log.splitlines())

    def assert_one_true_end(self, run):
        """Of `echo out; echo err >&2; exit 7`: as the program ended, which was executed once."""
        types = [event["type"] for event in run["events"]]
        self.assertEqual((types.count("launching"), types.count("ended")), (1, 1), types)
        outcome, logs = run["outcome"], self.home.must("logs", run["id"])
        self.assertEqual((outcome["reason"], outcome["exit_code"]), ("exited", 7), outcome)
        self.assertEqual((logs.stdout, logs.stderr), (b"out\n", b"err\n"))
        self.assertEqual(self.starts_of(run["id"]), 1)

    def assert_reason(self, result, status, pattern):
        """The exit status, and one line on stderr that says why."""
        self.assert_status(result, status)
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], r"^tare: (run_[0-9a-z]{26}: )?" + pattern)


class SmallDiskTest(unittest.TestCase):
    """Each test has a home on a file system of its own: self.home, up."""

    MEGABYTES = 256

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.folder = tempfile.mkdtemp(prefix="te-full-")
        self.addCleanup(os.rmdir, self.folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.MEGABYTES}m,mode=755", "none",
                        self.folder], check=True)
        self.addCleanup(subprocess.run, ["umount", self.folder], check=True)
        self.home = Home(folder=self.folder)
        self.addCleanup(self.home.close)
        self.home.up()

    def left(self):
        """Bytes."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    @contextlib.contextmanager
    def filled(self, left):
        """So many bytes are left on it, at most."""
        filler = os.path.join(self.folder, "filler")
        with open(filler, "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
            size = file.tell()
        os.truncate(filler, max(0, size - left))
        try:
            yield
        finally:
            os.remove(filler)
