"""./dev test vm: suites that touch the kernel, on Debian's own kernel with cgroup v2 alone.

    python3 tests/vm/run.py BIN CACHE [FILTER]

Boots linux-image-amd64 under qemu-system-x86_64 (TCG: no /dev/kvm is needed) with a small Debian
made by mmdebstrap, and tests/vm/guest.sh as its PID 1. Downloads and the Debian are kept in
CACHE/vm; programs and tests go in anew each time, on a disk of their own. Both disks are thrown
away after the run (qemu's snapshot=on), so that a killed one leaves nothing but CACHE/vm.
Follows the console; last line: `N passed, N failed`. Exit status 1 when anything failed, nothing
ran, or the machine did not end within its time.

The emulated machine is ten to thirty times slower than this one: TARE_TEST_PATIENCE multiplies what
the tests wait for before they call a thing hung. What is not run there, and why, is in SUITES.
"""

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import test_summary  # noqa: E402
from disks import debian, fetch_kernel, libraries, make_disk, run, say  # noqa: E402

PR_SET_PDEATHSIG = 1  # prctl(2)
PATIENCE = 20  # times what the tests wait elsewhere
WALL_LIMIT_S = 100 * 60
SILENT_LIMIT_S = 15 * 60
MEMORY = "3G"


@dataclass
class Suite:
    name: str
    seconds: int
    command: str  # a line of bash; $BIN and $TESTS are set


def gtest(name, seconds, exclude="", where="", program=None):
    flags = f"--gtest_filter='*:-{exclude}'" if exclude else ""
    return Suite(name, seconds, f"{where}$BIN/{program or name} {flags}")


# The kill matrix stops a process before its system calls, which takes long here: two calls of each
# sweep of the launcher, the makers, tare-init and the program, in a suite of its own. The sweeps of
# what is asked of a live sandbox are where the machine is real.
STEPPED = "*KillMatrix*"
SUITES = [
    gtest("sys_tests", 600),
    gtest("sandbox_tests", 900),
    gtest("sandbox_kernel", 5400, STEPPED),
    Suite("sandbox_kills", 2400, "env TARE_KILL_MATRIX=2 $BIN/sandbox_kernel "
          "--gtest_filter='KillMatrix.*'"),
    Suite("delegated_kernel", 900,
          "inside system.slice/tare.service root $BIN/sandbox_kernel "
          "--gtest_filter='Smoke*:Limits*:Doctor*'"),
    Suite("delegated_place", 120, "inside system.slice/place.service root bash -c '"
          "$TARE_BIN_DIR/tare-launcher --doctor --json --home /var/lib/tare | "
          "grep -o \"v2, /sys/fs/cgroup/system.slice/place.service\"'"),
    Suite("rootless", 1500, "inside user.slice/delegated ann python3 -B "
          "$TESTS/vm/rootless_test.py -v"),
    Suite("rootless_refused", 600, "inside user.slice/session ann python3 -B "
          "$TESTS/vm/rootless_test.py -v Refusals"),
    Suite("rootless_no_ids", 600, "inside user.slice/session bob python3 -B "
          "$TESTS/vm/rootless_test.py -v Refusals"),
    Suite("e2e_exits", 1500, "python3 -B $TESTS/e2e/exits_test.py -v"),
    Suite("e2e_doctor", 600, "python3 -B $TESTS/e2e/doctor_test.py -v"),
    Suite("e2e_privileges", 600, "python3 -B $TESTS/e2e/privileges_test.py -v"),
    Suite("e2e_sandbox_view", 900, "python3 -B $TESTS/e2e/sandbox_view_test.py -v"),
    Suite("e2e_denied", 900, "python3 -B $TESTS/e2e/denied_test.py -v"),
    Suite("e2e_session", 1800, "python3 -B $TESTS/e2e/session_test.py -v"),
    Suite("e2e_crash", 1500, "python3 -B $TESTS/e2e/crash_test.py -v"),
]
PROGRAMS = ["sys_tests", "sandbox_tests", "sandbox_kernel", "tare", "tared", "tare-launcher",
            "tare-init", "tare-store", "tare-files", "tare-posture", "tare-posture-check",
            "tare-attack"]


# ---- what goes in for one run ----

def plan_text(bin_folder, suites):
    """What guest.sh sources. Programs and sources are where the tests are compiled to find them."""
    lines = ["TESTS=/tare/tests BIN=" + str(bin_folder),
             f"export TARE_BIN_DIR=$BIN TARE_TEST_PATIENCE={PATIENCE} GTEST_COLOR=no",
             "export TARE_OWN_MACHINE=1",
             "delegate system.slice/tare.service root",
             "delegate system.slice/place.service root",
             "delegate user.slice/delegated ann",
             "mkdir /sys/fs/cgroup/user.slice/session",
             f"mkdir -p {ROOT}",
             f"mount -t tmpfs none {ROOT}; mkdir {ROOT}/tests {ROOT}/docs",
             f"mount --bind /tare/tests {ROOT}/tests",
             f"mount --bind /tare/docs {ROOT}/docs",
             f"mkdir -p {bin_folder}",  # perhaps below the sources
             f"mount --bind /tare/bin {bin_folder}"]
    lines += [f"suite {suite.name} {suite.seconds} {suite.command}" for suite in suites]
    return "\n".join(lines) + "\n"


def programs_disk(cache, bin_folder, suites):
    with tempfile.TemporaryDirectory(dir=cache) as work:
        folder = Path(work) / "tare"
        (folder / "bin").mkdir(parents=True)
        for name in PROGRAMS:
            run("objcopy", "--strip-debug", bin_folder / name, folder / "bin" / name)
        for name in ("e2e", "golden", "vm"):
            shutil.copytree(ROOT / "tests" / name, folder / "tests" / name)
        shutil.copytree(ROOT / "docs", folder / "docs")
        shutil.copy(ROOT / "tests/vm/guest.sh", folder / "guest.sh")
        (folder / "guest.sh").chmod(0o755)
        (folder / "plan").write_text(plan_text(bin_folder, suites))
        disk = cache / f"programs-{os.getpid()}.ext4"
        make_disk(folder, disk, 512)
    return disk


# ---- the machine ----

def count_gtest_lines(text):
    passed = len(re.findall(r"^\[       OK \] \S+", text, re.M))
    failed = sorted(set(re.findall(r"^\[  FAILED  \] ([\w/]+\.\w+)", text, re.M)))
    skipped = len(set(re.findall(r"^\[  SKIPPED \] ([\w/]+\.\w+)", text, re.M)))
    return test_summary.Count(passed, len(failed), skipped, failures=failed)


def count_suite(name, status, seconds, text):
    """What one suite printed, and its exit status. A crash or a time-out is a failed case."""
    count = test_summary.count_output(text) or count_gtest_lines(text)
    count.failures = [f"{name}: {case}" for case in count.failures]
    if status == 0 and count.passed + count.failed + count.skipped == 0:
        count.passed = 1  # a command of its own
    if status != 0 and count.failed == 0:
        count.failed = 1
        count.failures = [f"{name} (exit status {status})"]
    elif count.failed and not count.failures:
        cases = re.findall(r"^(?:FAIL|ERROR): (.+)$", text, re.M)
        count.failures = [f"{name}: {case}" for case in cases]
    count.seconds = seconds
    return count


class Console:
    """Reads the framed lines; says how it goes; counts."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.suites = {}
        self.name, self.lines = None, []
        self.off = False
        self.told = 0.0

    def line(self, text):
        if match := re.match(r"@@ up (.*)", text):
            say(f"vm: Linux {match[1]}")
        elif match := re.match(r"@@ begin (\S+)", text):
            self.name, self.lines, self.told = match[1], [], time.monotonic()
            say(f"vm: {self.name}")
        elif match := re.match(r"@@ end (\S+) (\d+) (\d+)", text):
            count = count_suite(self.name, int(match[2]), float(match[3]), "\n".join(self.lines))
            self.suites[self.name] = count
            say(f"vm: {self.name}: {test_summary.closing_line(count)} in {match[3]} s")
            self.name = None
        elif text == "@@ off":
            self.off = True
        elif self.name:
            self.lines.append(text)
            if re.match(r"\[  FAILED  \]|FAIL:|ERROR:", text):
                say(f"vm:   {text}")
            elif time.monotonic() - self.told > 60:
                self.told = time.monotonic()
                say(f"vm:   {self.name}: {sum(' OK ' in l or l.endswith('ok') for l in self.lines)}"
                    f" so far")

    def total(self, why):
        """`why`: the machine did not come to its end."""
        total = test_summary.Count()
        for count in self.suites.values():
            total.add(count)
        for name in self.wanted:
            if name not in self.suites:
                total.failed += 1
                total.failures.append(f"{name} ({why})")
        return total


def ends_with_us():
    """In the child: lowest in line for the processors, and killed when this program dies."""
    os.nice(5)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def boot(kernel, disk, ram, programs, logs):
    drive = "file={},format=raw,if=virtio,snapshot=on"
    return subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m",
         MEMORY, "-nodefaults", "-display", "none", "-no-reboot",
         "-kernel", next((kernel / "boot").glob("vmlinuz-*")), "-initrd", ram,
         "-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off cgroup_no_v1=all",
         "-drive", drive.format(disk), "-drive", drive.format(programs),
         "-device", "virtio-rng-pci",
         "-serial", f"file:{logs}/kernel.log", "-serial", "stdio"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=ends_with_us, env={**os.environ, "TMPDIR": str(logs)})


def follow(machine, console, log):
    """Until the machine is off. Why it was ended before that, or None."""
    began = heard = time.monotonic()
    rest = b""
    while not console.off:
        now = time.monotonic()
        if now - began > WALL_LIMIT_S:
            return f"not done within {WALL_LIMIT_S // 60} min"
        if now - heard > SILENT_LIMIT_S:
            return f"nothing was heard for {SILENT_LIMIT_S // 60} min"
        if not select.select([machine.stdout], [], [], 5)[0]:
            continue
        data = os.read(machine.stdout.fileno(), 65536)
        if not data:
            return "the machine has ended"
        heard = now
        log.write(data)
        log.flush()
        *lines, rest = (rest + data).split(b"\n")
        for text in lines:
            console.line(text.decode(errors="replace").rstrip("\r"))
    return None


def main(bin_folder, cache, only=""):
    cache.mkdir(parents=True, exist_ok=True)
    for left in [*cache.glob("programs-*"), *cache.glob("tmp*")]:  # of one that was killed
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    suites = [suite for suite in SUITES if re.search(only, suite.name)]
    kernel = fetch_kernel(cache)
    disk, ram = debian(cache, kernel, libraries(bin_folder, PROGRAMS))
    programs = programs_disk(cache, bin_folder, suites)
    console = Console([suite.name for suite in suites])
    log_path = cache / "console.log"
    try:
        with open(log_path, "wb") as log, boot(kernel, disk, ram, programs, cache) as machine:
            try:
                why = follow(machine, console, log)
            finally:
                machine.kill()
    finally:
        programs.unlink()
    total = console.total(why or "was not run")
    say(f"\n{'suite':<20}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>10}")
    for name, count in console.suites.items():
        say(f"{name:<20}{count.passed:>8}{count.failed:>8}{count.skipped:>9}"
            f"{count.seconds:>8.0f} s")
    if total.failures:
        say("\nfailed:\n  " + "\n  ".join(total.failures) +
            f"\nwhat was said is in {log_path}, the kernel's words in {cache}/kernel.log")
    say("\n" + test_summary.closing_line(total))
    return 1 if total.failed or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve() / "vm", *sys.argv[3:]))
