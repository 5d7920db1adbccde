"""Clients that go away at any moment of a request about a session: nothing of it is left."""

import errno
import itertools
import os
import platform
import re
import signal
import socket
import struct
import tempfile
import time
import unittest
from pathlib import Path

import harness
import stepper

SETTLE_S = 60 * harness.PATIENCE
BODY = 300_000


def request(method, path, body=b"", length=None):
    length = len(body) if length is None else length
    return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode() + body


class Gone(harness.TareTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.session = cls.home.must("session", "new", "--idle", "2s").stdout.decode().strip()
        cls.api = f"/v1/runs/{cls.session}"

    def sh(self, script):
        return self.home.must("session", "exec", self.session, "--", "sh", "-c",
                              script).stdout.decode()

    def leave(self, sent, after_s=0.0, take=0):
        """Sends this, takes so many bytes of the answer, and is gone after so long."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(harness.TIMEOUT_S)
            client.connect(str(self.home.path / "run/tared.sock"))
            try:
                client.sendall(sent)
                while take > 0 and (got := client.recv(min(take, 65536))):
                    take -= len(got)
            except BrokenPipeError:
                pass  # it has been refused already
            time.sleep(after_s)

    def moments(self, whole, taken=(0,)):
        """Gone in the midst of the request, and before, while and after it is done."""
        head = whole.index(b"\r\n\r\n") + 4
        for cut in {1, head - 1, head, head + 3, (head + len(whole)) // 2, len(whole) - 1}:
            if cut < len(whole):
                for pause_s in (0, 0.01):
                    yield whole[:cut], pause_s, 0
        for pause_s, take in itertools.product((0, 0.0005, 0.002, 0.005, 0.02), taken):
            yield whole, pause_s, take

    def open_files(self):
        pids = [self.home.program_pid(name) for name in ("tared", "tare-launcher")]
        pids += [pid for pid in self.home.sandboxed()
                 if harness.read_text(f"/proc/{pid}/comm") == "tare-init\n"]
        return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in pids}

    def await_open_files(self, before):
        """No more than there were."""
        for pid, most in before.items():
            harness.wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= most,
                               f"{most} open files of {harness.read_text(f'/proc/{pid}/comm')}")

    @staticmethod
    def has_read(pid):
        """Is it tare-files, and has it read what we have sent?"""
        name, io = (harness.read_text(f"/proc/{pid}/{file}") for file in ("comm", "io"))
        read = re.search(r"(?m)^rchar: (\d+)", io)
        return name == "tare-files\n" and read and int(read[1]) >= BODY

    def settled(self):
        """Nothing runs inside, nothing is left in the files, no descriptor is held."""
        harness.wait_until(lambda: not self.home.programs(), "the end of all inside", SETTLE_S)
        self.assertEqual(self.sh("find / -xdev -name '.tare-*' 2>/dev/null; true"), "")
        harness.wait_until(lambda: not self.home.programs(), "the end of all inside", SETTLE_S)

    def storm(self, whole, taken=(0,)):
        for sent, pause_s, take in self.moments(whole, taken):
            self.leave(sent, pause_s, take)
        self.settled()

    def test_no_operation_on_files_leaves_anything(self):
        files = f"{self.api}/files"
        self.sh("""
            mkdir -p tree/a/b many; echo old >kept; head -c 3000000 /dev/zero >large
            for n in $(seq 1000); do echo many/$n tree/a/b/$n; done | xargs touch""")
        write = request("PUT", f"{files}/content?path=kept", b"n" * BODY, length=2 * BODY)
        self.storm(write)  # which warms up, too
        before = self.open_files()
        self.storm(write)
        self.assertEqual(self.sh("cat kept"), "old\n")
        self.storm(request("PUT", f"{files}/content?path=kept", b"n" * BODY))
        self.assertIn(self.sh("wc -c <kept").strip(), ("4", str(BODY)))
        self.storm(request("GET", f"{files}/content?path=large"), (0, 1, 1_000_000))
        self.storm(request("GET", f"{files}/list?path=many"), (0, 1))
        self.storm(request("GET", f"{files}/watch?path=many"), (0, 1))
        self.storm(request("GET", f"{files}?path=many"))
        self.storm(request("POST", f"{files}/move", b'{"from":"many","to":"other"}'))
        self.storm(request("POST", f"{files}/mkdir?path=x/y/z&parents=true"))
        self.storm(request("DELETE", f"{files}?path=tree&recursive=true"))
        self.await_open_files(before)

    def test_no_exec_leaves_anything(self):
        self.sh("true")
        before = self.open_files()
        self.storm(request("POST", f"{self.api}/execs", b'{"argv":["sleep","0.05"]}'))
        self.storm(request("POST", f"{self.api}/execs",
                           b'{"argv":["sh","-c","seq 100000"],"attach":false}'))
        # Input that breaks off has not ended, and another one goes on with it.
        made = self.home.request("POST", f"{self.api}/execs", {"argv": ["cat"], "stdin": True})
        one = f"{self.api}/execs/{made.json['number']}"
        for sent, pause_s, take in self.moments(request("POST", f"{one}/stdin", b"abcdef\n",
                                                        length=100)):
            self.leave(sent, pause_s, take)
        for sent, pause_s, take in self.moments(request("GET", f"{one}/logs?follow=true"), (0, 1)):
            self.leave(sent, pause_s, take)
        harness.wait_until(
            lambda: self.home.request("POST", f"{one}/stdin", b"end\n").status == 200,
            "its input to be free")
        harness.wait_until(lambda: self.home.request("GET", one).json["state"] == "ended",
                           "its end")
        self.settled()
        self.await_open_files(before)

    def test_one_that_nobody_uses_any_more_is_idle(self):
        """Each thing that was begun is over for its idle timeout, too, and none stops a night."""
        self.sh("echo old >kept; head -c 3000000 /dev/zero >large")
        files = f"{self.api}/files"
        for whole in (request("PUT", f"{files}/content?path=kept", b"n" * 10),
                      request("PUT", f"{files}/content?path=kept", b"n" * 10, length=20),
                      request("GET", f"{files}/content?path=large"),
                      request("GET", f"{files}/watch?path=.")):
            for sent, pause_s, take in self.moments(whole):
                self.leave(sent, pause_s, take)
        harness.wait_until(lambda: self.home.inspect(self.session)["state"] == "hibernated",
                           "it sleeps", SETTLE_S)
        # An answer, and at once its night: the process that gave it has not ended by itself.
        for _ in range(10):
            put = self.home.request("PUT", f"{files}/content?path=kept", b"1")
            self.assertEqual(put.status, 200, put.body)
            night = self.home.request("POST", f"/v1/sessions/{self.session}/hibernate")
            self.assertEqual(night.status, 200, night.body)
        self.sh("true")
        harness.wait_until(lambda: self.home.inspect(self.session)["state"] == "hibernated",
                           "it sleeps again", SETTLE_S)

    def test_nothing_is_seen_of_a_file_that_is_being_written(self):
        """Nor copied to a fork."""
        if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 10):
            self.skipTest("overlayfs has files without a name since Linux 6.10")
        self.sh("mkdir -p w; echo old >w/kept")
        begun = request("PUT", f"{self.api}/files/content?path=w/kept", b"n" * BODY,
                        length=2 * BODY)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.home.path / "run/tared.sock"))
            client.sendall(begun)
            harness.wait_until(lambda: any(self.has_read(pid) for pid in self.home.programs()),
                               "it is under way")
            self.assertEqual(self.sh("ls -A w"), "kept\n")
            fork = self.home.must("session", "fork", self.session).stdout.decode().strip()
        seen = self.home.must("session", "exec", fork, "--", "sh", "-c", "ls -A w; cat w/kept")
        self.assertEqual(seen.stdout, b"kept\nold\n")
        self.home.must("session", "kill", fork)
        self.settled()

    def test_a_night_a_waking_and_a_fork_whose_client_goes_leave_it_whole(self):
        self.sh("echo mine >mine")
        for verb, body in (("hibernate", b""), ("wake", b""), ("fork", b'{"count":1}')):
            for sent, pause_s, take in self.moments(
                    request("POST", f"/v1/sessions/{self.session}/{verb}", body)):
                self.leave(sent, pause_s, take)
            self.assertEqual(self.sh("cat mine"), "mine\n")
        listed = self.home.request("GET", "/v1/sessions").json
        for one in listed["sessions"]:
            if one["id"] != self.session:
                self.assertEqual(self.home.must("session", "exec", one["id"], "--", "cat",
                                                "mine").stdout, b"mine\n")
                self.home.must("session", "kill", one["id"])


class Killed(unittest.TestCase):
    """tare-files alone, killed before each of its system calls."""

    def write(self, folder, step, commit=True):
        """What step(its Stepper, has it ended?) says; the number of the last call that it came
        to."""
        piece = b"new content\n"
        data_read, data_write = os.pipe()
        os.write(data_write, struct.pack("<I", len(piece)) + piece)
        if commit:
            os.write(data_write, struct.pack("<I", 0))
        os.close(data_write)
        answer_read, answer_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(data_read, 0)
            os.dup2(answer_write, 1)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execv(harness.BIN / "tare-files", ["tare-files", "write", f"{folder}/file", "644"])
        os.close(data_read)
        os.close(answer_write)
        os.waitpid(pid, os.WUNTRACED)
        tracer = stepper.Stepper(pid, mortal=True)
        os.kill(pid, signal.SIGCONT)
        try:
            return step(tracer, lambda: not stepper.tasks(pid)), tracer.last
        finally:
            os.close(answer_read)

    def test_a_write_that_is_killed_at_any_call_leaves_the_old_or_the_new_file_alone(self):
        rename = {82, 264, 316}
        seen = set()
        for replaces in (False, True):
            for call in itertools.count(1):
                with tempfile.TemporaryDirectory(prefix="te-files-") as folder:
                    file = Path(folder) / "file"
                    if replaces:
                        file.write_text("old content\n")
                    killed, number = self.write(
                        folder, lambda tracer, over: tracer.run_until(over, call))
                    found = sorted(os.listdir(folder))
                    if replaces and killed and number in rename:
                        self.assertEqual(len(found), 2)  # the one moment with two names
                        found.remove("file")
                        self.assertRegex(found.pop(), r"^\.tare-[0-9a-f]{16}$")
                    elif found or replaces:
                        self.assertEqual(found, ["file"], f"call {call}, number {number}")
                    seen.add(file.read_text() if file.exists() else "")
                if not killed:
                    break
            self.assertGreater(call, 20)
        self.assertEqual(seen, {"", "old content\n", "new content\n"})

    def test_where_a_file_must_have_a_name_a_write_takes_it_away_itself(self):
        """As overlayfs before Linux 6.10; the second file that it opens is the one."""
        if platform.machine() != "x86_64":
            self.skipTest("the numbers of system calls are those of x86-64")
        for commit, content in ((True, "new content\n"), (False, "old content\n")):
            with tempfile.TemporaryDirectory(prefix="te-files-") as folder:
                (Path(folder) / "file").write_text("old content\n")
                refused, _ = self.write(folder, lambda tracer, over: tracer.run_refusing(
                    over, {257: errno.EOPNOTSUPP}, 2), commit)
                self.assertTrue(refused)
                self.assertEqual(os.listdir(folder), ["file"])
                self.assertEqual((Path(folder) / "file").read_text(), content)


if __name__ == "__main__":
    unittest.main()
