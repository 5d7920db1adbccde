"""The runners and their pipes: lines are whole, and an error is told, whatever becomes of streams.

The runners themselves, outside a sandbox: here the test is who reads the other ends, or does not.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import harness

RUNNERS = harness.BIN.parent / "share/tare/runners"
COMMANDS = {"python": ["python3", "-B", "-u", RUNNERS / "python/main.py"],
            "node": ["node", RUNNERS / "node/main.js"]}
F_SETPIPE_SZ = 1031

PYTHON = """\
import os, signal, sys, threading
import tare

def fails(value):
    print("x" * 300_000)
    raise ValueError("no")

def closes(value):
    sys.stdout.close()
    sys.stderr.close()
    raise ValueError("no")

def many(value):
    os.set_blocking(int(sys.argv[1]), False)
    def one(letter):
        for i in range(10):
            tare.result(letter * 30_000)
    threads = [threading.Thread(target=one, args=(letter,)) for letter in "abcdefgh"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return "all"

class TooLate(Exception):
    pass

def too_late(*_):
    tare.progress(0.5, "late")  # from within the write of the result, too
    raise TooLate

def interrupted(value):
    signal.signal(signal.SIGALRM, too_late)
    late = 0
    for i in range(40):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002 + i * 0.0005)
            while True:
                tare.result("z" * 200_000)
        except TooLate:
            late += 1
    raise ValueError(f"late {late} times")
"""
NODE = """\
const tare = require("tare");
exports.fails = () => {
  console.log("x".repeat(300_000));
  throw new RangeError("no");
};
exports.closes = () => {
  process.stdout.write = process.stderr.write = () => true;
  throw new RangeError("no");
};
let kept; // non-blocking from now on
exports.many = () => {
  kept = new (require("net").Socket)({ fd: Number(process.argv[2]), readable: false });
  for (let i = 0; i < 10; ++i) for (const c of "abcdefgh") tare.result(c.repeat(30_000));
  kept.unref();
  return "all";
};
"""


class Pipes(unittest.TestCase):
    """A runner whose report, stdout and stderr are pipes that hold 4096 bytes."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="te-pipes-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "main.py").write_text(PYTHON)
        (self.folder / "main.js").write_text(NODE)

    def pipe(self):
        ends = os.pipe()
        fcntl.fcntl(ends[1], F_SETPIPE_SZ, 4096)
        return ends

    def start(self, language, function, stderr=subprocess.DEVNULL):
        """The process and the reading ends of its report and stdout."""
        if not shutil.which(COMMANDS[language][0]):
            self.skipTest(f"this host has no {COMMANDS[language][0]}")
        report, write = self.pipe()
        out, stdout = self.pipe()
        file = Path(COMMANDS[language][-1]).name
        process = subprocess.Popen(
            [*COMMANDS[language], f"{file}:{function}", str(write)], stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, pass_fds=[write], cwd=self.folder,
            env={**os.environ, "TARE_REPORT_FD": str(write)})
        self.addCleanup(self.end, process)
        os.close(write)
        os.close(stdout)
        return process, os.fdopen(report, "rb"), os.fdopen(out, "rb")

    def end(self, process):
        process.kill()
        process.wait()

    def drained(self, file):
        """What comes out of it, read by a thread: a function that waits for its end."""
        kept = []
        thread = threading.Thread(target=lambda: kept.append(file.read()), daemon=True)
        thread.start()

        def wait():
            thread.join(harness.TIMEOUT_S)
            self.assertFalse(thread.is_alive(), "it does not end")
            file.close()
            return kept[0]
        return wait

    def fails(self, language, kind):
        """Its stderr is full, and stays so until its report is there."""
        errors, stderr = self.pipe()
        os.set_blocking(stderr, False)
        while True:
            try:
                os.write(stderr, b"-" * 512)
            except BlockingIOError:
                break
        process, report, out = self.start(language, "fails", stderr)
        os.close(stderr)
        said = self.drained(out)
        error = json.loads(report.readline())
        self.assertEqual((error["type"], error["kind"], error["message"]), ("error", kind, "no"))
        told = self.drained(os.fdopen(errors, "rb"))
        self.assertEqual(process.wait(harness.TIMEOUT_S), 1)
        self.assertEqual(report.read(), b"")
        report.close()
        self.assertIn(f"{kind}: no".encode(), told())
        self.assertEqual(said(), b"x" * 300_000 + b"\n")

    def test_python_tells_first_and_then_writes_to_a_full_stderr(self):
        self.fails("python", "ValueError")

    def test_node_tells_first_and_then_writes_to_a_full_stderr_and_drops_no_output(self):
        self.fails("node", "RangeError")

    def test_streams_that_the_agent_has_closed_or_replaced_are_no_reason_to_be_silent(self):
        for language, kind in (("python", "ValueError"), ("node", "RangeError")):
            process, report, out = self.start(language, "closes")
            lines = self.drained(report)().splitlines()
            out.close()
            self.assertEqual(process.wait(harness.TIMEOUT_S), 1)
            self.assertEqual([json.loads(line)["kind"] for line in lines], [kind])

    def many(self, language):
        process, report, out = self.start(language, "many")
        time.sleep(0.3)  # the pipe is full, and not blocking
        lines = self.drained(report)().splitlines()
        out.close()
        self.assertEqual(process.wait(harness.TIMEOUT_S), 0)
        values = [json.loads(line)["value"] for line in lines]
        self.assertEqual(values.pop(), "all")
        self.assertEqual(sorted(values), sorted(c * 30_000 for c in "abcdefgh" * 10))

    def test_lines_of_many_threads_stay_whole_in_a_full_pipe_that_does_not_block(self):
        self.many("python")

    def test_lines_of_node_stay_whole_in_a_full_pipe_that_does_not_block(self):
        self.many("node")

    def test_a_line_whose_write_a_signal_interrupts_is_finished_by_the_next(self):
        process, report, out = self.start("python", "interrupted")
        lines = self.drained(report)().splitlines()
        out.close()
        self.assertEqual(process.wait(harness.TIMEOUT_S), 1)
        told = [json.loads(line) for line in lines]  # each of them is one
        self.assertEqual(told[-1]["message"], "late 40 times")
        self.assertEqual(sum(line["type"] == "progress" for line in told), 40)
        self.assertEqual({line["value"] for line in told if line["type"] == "result"},
                         {"z" * 200_000})


if __name__ == "__main__":
    unittest.main()
