"""Files of live sandboxes: large ones, and operations that something inside has stopped.
TARE_MANY=1 (`./dev test full`): a GiB instead of 64 MiB, and those that wait for a time limit."""

import fcntl
import hashlib
import http.client
import json
import os
import signal
import unittest
from concurrent.futures import ThreadPoolExecutor

import harness
from sessions import SessionsTest

MANY = bool(os.environ.get("TARE_MANY"))
SIZE = 1 << 30 if MANY else 64 << 20
PIECE = 1 << 20
# fcntl(2), F_ADD_SEALS: SEAL SHRINK GROW WRITE. Not in Python's module.
F_GET_SEALS, ALL_SEALS = 1034, 0xF


def write_large(path):
    """SIZE bytes, no piece of them as another; their digest."""
    digest, seed = hashlib.sha256(), os.urandom(PIECE - 8)
    with open(path, "wb") as file:
        for i in range(SIZE // PIECE):
            piece = i.to_bytes(8, "big") + seed
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def digest_of(file):
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def operations(home):
    """Pids of the processes that work on files."""
    return {pid for pid in home.sandboxed()
            if harness.read_text(f"/proc/{pid}/cmdline").startswith("tare-files\0")}


class Large(SessionsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.session = cls.home.must("session", "new", "--disk", "4G").stdout.decode().strip()
        cls.first_peak_kib = cls.peak_kib()

    def setUp(self):
        super().setUp()
        self.source = self.folder / "source"
        self.digest = write_large(self.source)

    @classmethod
    def peak_kib(cls):
        return int(harness.status_of(cls.home.program_pid("tared"))["VmHWM"].split()[0])

    def assert_small(self):
        self.assertLess(self.peak_kib() - self.first_peak_kib, 32 << 10)

    def assert_inside(self, path):
        said = self.sh(self.session, f"sha256sum {path}")
        self.assertEqual(said.split()[0], self.digest)

    def test_a_large_file_is_put_and_got_over_the_api_and_tared_stays_small(self):
        api = f"/v1/runs/{self.session}/files/content?path=large"
        connection = harness.UnixConnection(self.home.path / "run/tared.sock")
        self.addCleanup(connection.close)
        with open(self.source, "rb") as body:
            connection.request("PUT", api, body, {"Content-Length": str(SIZE)})
            answer = connection.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())), (200, {"bytes": SIZE}))
        self.assert_inside("large")
        connection.request("GET", api)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Length"]), (200, str(SIZE)))
        self.assertEqual(digest_of(answer), self.digest)
        self.assert_small()

    def test_a_large_file_is_copied_both_ways_and_tared_stays_small(self):
        self.home.must("session", "cp", self.source, f"{self.session}:copied")
        self.assert_inside("copied")
        back = self.folder / "back"
        self.home.must("session", "cp", f"{self.session}:copied", back)
        with open(back, "rb") as file:
            self.assertEqual(digest_of(file), self.digest)
        self.assert_small()


class Program(SessionsTest):
    """tare-files itself, which tared hands into the sandbox."""

    def test_S1_what_works_on_files_cannot_be_overwritten_from_inside(self):
        for user in ("agent", "root"):
            session = self.new("--user", user)
            connection = harness.UnixConnection(self.home.path / "run/tared.sock")
            self.addCleanup(connection.close)
            connection.request("GET", f"/v1/runs/{session}/files/watch?path=.")
            lines = connection.getresponse()
            self.assertEqual(json.loads(lines.readline()), {"event": "watching"})
            pid, = operations(self.home)
            inside = harness.status_of(pid)["NSpid"].split()[-1]
            with open(f"/proc/{pid}/exe", "rb") as program:
                before = digest_of(program)
                seals = fcntl.fcntl(program, F_GET_SEALS)
                self.assertEqual(seals & ALL_SEALS, ALL_SEALS)
                for attempt in (f"echo x > /proc/{inside}/exe", f"echo x >> /proc/{inside}/exe",
                                f": <> /proc/{inside}/exe", f"chmod 777 /proc/{inside}/exe",
                                f"truncate -s 0 /proc/{inside}/exe && test -s /proc/{inside}/exe"):
                    done = self.home.tare("session", "exec", session, "--", "sh", "-c", attempt)
                    self.assertNotEqual(done.returncode, 0, attempt)
                program.seek(0)
                self.assertEqual(digest_of(program), before)
            self.sh(session, "touch seen")
            self.assertEqual(json.loads(lines.readline())["name"], "seen")
            self.kill(session)


@unittest.skipUnless(MANY, "waits for time limits of a minute: TARE_MANY=1")
class Stopped(SessionsTest):
    """Whoever owns the files inside may stop what works on them."""

    @staticmethod
    def answer_of(connection):
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["error"]["message"]

    def fill(self, connection):
        """More than the pipe to it holds."""
        try:
            for _ in range(64):
                connection.send(bytes(PIECE))
        except OSError:
            pass  # tared has answered, and reads no more
        return self.answer_of(connection)

    @staticmethod
    def rest_of(answer):
        try:
            return len(answer.read())
        except http.client.IncompleteRead:
            return "broken off"

    def begin(self, method, target, **headers):
        connection = harness.UnixConnection(self.home.path / "run/tared.sock")
        self.addCleanup(connection.close)
        connection.putrequest(method, target)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection

    def test_an_operation_that_is_stopped_ends_with_an_error_and_holds_nobody_up(self):
        session, other = self.new(), self.new()
        self.sh(session, "truncate -s 1G hole; echo kept >kept")
        api = f"/v1/runs/{session}/files/content?path="
        stuck = self.begin("PUT", api + "kept", Content_Length="6")  # it will not take the end
        stuck.send(b"new")
        full = self.begin("PUT", api + "full", Content_Length=str(64 << 20))
        full.send(b"new")
        read = self.begin("GET", api + "hole")
        answer = read.getresponse()
        self.assertEqual(answer.status, 200)
        answer.read(1000)
        for pid in harness.wait_until(lambda: len(found := operations(self.home)) == 3 and found,
                                      "the three of them"):
            os.kill(pid, signal.SIGSTOP)
        stuck.send(b"er\n")
        with ThreadPoolExecutor() as pool:
            ends = [pool.submit(self.answer_of, stuck), pool.submit(self.fill, full),
                    pool.submit(self.rest_of, answer)]
            rounds = 0
            while not all(end.done() for end in ends):
                rounds += 1
                self.assertEqual(self.home.request("GET", "/v1/health").status, 200)
                self.assertEqual(self.get(session, "kept"), b"kept\n")
                for one in (session, other):
                    self.assertEqual(self.put(one, "more", b"%d" % rounds).status, 200)
        self.assertGreater(rounds, 10)
        for end in ends[:2]:
            status, message = end.result()
            self.assertEqual(status, 504, message)
            self.assertIn(f"{session} did not answer within 60 s", message)
        self.assertEqual(ends[2].result(), "broken off")
        harness.wait_until(lambda: not operations(self.home), "the end of those that were stopped")
        # A draft that is killed has a name before Linux 6.10.
        nameless = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 10)
        self.assertEqual(self.sh(session, f"ls {'-A' if nameless else ''}; cat kept"),
                         "hole\nkept\nmore\nkept\n")


if __name__ == "__main__":
    unittest.main()
