"""A program may begin while the record of its run is on its way to the disk (docs/decisions/0011):
nothing of it is told before the record is there, and nothing is left of it when it never comes.
"""

import errno
import os
import threading
import time
import unittest
import uuid

import harness
import layers
import stepper

PWRITE64 = 18  # with it the thread of the database writes its log
WATCHED_S = 1


class Asking(threading.Thread):
    """Posts a run."""

    def __init__(self, home, wish):
        super().__init__()
        self.home, self.wish, self.answer = home, wish, None
        self.start()

    def run(self):
        try:
            self.answer = self.home.request("POST", "/v1/runs", self.wish)
        except (OSError, harness.http.client.HTTPException):
            pass  # it was killed


class EarlyStart(harness.TareTest):
    def setUp(self):
        super().setUp()
        self.home.host("true")  # what is done once is done
        self.key = f"k-{uuid.uuid4()}"
        # A sleep that is known by its time.
        self.seconds = str(100_000 + uuid.uuid4().int % 800_000)
        self.wish = {"environment": "host", "idempotency_key": self.key,
                     "argv": ["sh", "-c", f"echo said; exec sleep {self.seconds}"]}

    def runs_inside(self):
        return any(f"sleep\0{self.seconds}\0" in harness.read_text(f"/proc/{pid}/cmdline")
                   for pid in self.home.sandboxed())

    def known(self):
        return [run for run in self.home.request("GET", "/v1/runs?limit=1000").json["runs"]
                if run["request"]["idempotency_key"] == self.key]

    def begun_without_record(self):
        """A run whose program is there, and whose record stands before it is written."""
        traced = stepper.Stepper(self.home.program_pid("tared"))
        asking = Asking(self.home, self.wish)
        held = traced.hold("tare-sql", PWRITE64, self.runs_inside)
        self.assertIsNone(asking.answer, "told before it is durable")
        self.assertTrue(asking.is_alive())
        return traced, asking, held

    def assert_nothing_is_left(self):
        harness.wait_until(lambda: not self.runs_inside(), "the end of the program")
        self.assertEqual(self.known(), [])
        self.assertEqual(self.home.host("echo", "fine").stdout, b"fine\n")

    def test_a_program_whose_record_never_comes_ends_and_was_no_run(self):
        traced, asking, _ = self.begun_without_record()
        traced.kill(traced.pids[0])
        asking.join()
        self.home.up()
        self.assertIsNone(asking.answer)
        self.assert_nothing_is_left()
        again = self.home.request("POST", "/v1/runs", self.wish)
        self.assertEqual(again.status, 202, again.body)  # the key is free
        self.home.must("kill", again.json["id"])

    def test_a_program_whose_record_cannot_be_written_ends_and_the_client_is_told(self):
        folders = set(self.folders())
        traced, asking, held = self.begun_without_record()
        traced.refuse_held(held, PWRITE64, errno.EIO, lambda: not asking.is_alive())
        asking.join()
        self.assertGreaterEqual(asking.answer.status, 500, asking.answer.body)
        self.assert_nothing_is_left()
        harness.wait_until(lambda: len(set(self.folders()) - folders) == 1, "its folder to go")

    def test_a_program_whose_output_cannot_be_kept_is_killed_and_the_run_says_so(self):
        runs = self.home.path / "runs"
        owner = runs.stat()
        os.chown(runs, 0, 0)
        try:
            answer = self.home.request("POST", "/v1/runs", self.wish)
            self.assertEqual(answer.status, 202, answer.body)
            run = self.home.wait_ended(answer.json["id"])
        finally:
            os.chown(runs, owner.st_uid, owner.st_gid)
        self.assertEqual(run["outcome"]["reason"], "daemon_error", run)
        self.assertIn("Permission denied", run["outcome"]["message"])
        harness.wait_until(lambda: not self.runs_inside(), "the end of the program")
        self.assertEqual(self.home.host("echo", "fine").stdout, b"fine\n")

    def folders(self):
        return [entry.name for entry in (self.home.path / "runs").iterdir()]


class Networked(layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [layers.programs("sh", "sleep")]}

    def test_a_build_with_a_network_does_not_begin_before_its_record(self):
        self.home.must("env", "build", "--from", "box", "--name", "first", "--network", "--",
                       "sh", "-c", ":")  # what is done once is done
        before = set(self.home.sandboxed())
        traced = stepper.Stepper(self.home.program_pid("tared"))
        with self.home.popen("env", "build", "--from", "box", "--name", "n", "--network", "--",
                             "sleep", "100") as client:
            prepared = []  # since when its sandbox waits

            def long_enough():
                if not prepared and set(self.home.sandboxed()) - before:
                    prepared.append(time.monotonic())
                return prepared and time.monotonic() > prepared[0] + WATCHED_S

            traced.hold("tare-sql", PWRITE64, long_enough)
            inside = [harness.read_text(f"/proc/{pid}/cmdline") for pid in self.home.sandboxed()]
            traced.kill(traced.pids[0])
            client.kill()
        self.home.up()
        self.assertFalse([line for line in inside if line.startswith("sleep\0")], inside)


if __name__ == "__main__":
    unittest.main()
