"""What a session has answered, and said, is there: over nights, and the death of any daemon.

docs/sessions.md has the table. What a power cut leaves is in power_cut_test.py; what is left of a
session whose launcher died, in hibernate_test.py, checkpoint_test.py and durable_test.py.
"""

import os
import time
import unittest

import harness
import stepper

MANY = bool(os.environ.get("TARE_MANY"))
# Writes a line to a file, and only then says so.
COUNT = "i=0; while :; do i=$((i+1)); echo $i >>{file}; echo $i; done"


def last_line(text):
    """The last that is whole, as a number."""
    lines = text.rpartition("\n")[0].splitlines()
    return int(lines[-1]) if lines else 0


class PromisesTest(harness.TareTest):
    OPTIONS = ()

    def setUp(self):
        super().setUp()
        self.session = self.home.must("session", "new", *self.OPTIONS).stdout.decode().strip()
        self.addCleanup(self.home.tare, "session", "kill", self.session)

    def sh(self, script):
        return self.home.must("session", "exec", self.session, "--", "sh", "-c",
                              script).stdout.decode()

    def background(self, script):
        made = self.home.must("session", "exec", "-d", self.session, "--", "sh", "-c", script)
        return made.stdout.decode().strip()

    def said_by(self, number):
        """All that anybody is ever told of an exec that has ended."""
        return self.home.tare("session", "attach", self.session, number).stdout.decode()

    def state(self):
        return self.home.inspect(self.session)["state"]

    def put(self, path, body):
        return self.home.request("PUT", f"/v1/runs/{self.session}/files/content?path={path}", body)

    def get(self, path):
        return self.home.request("GET", f"/v1/runs/{self.session}/files/content?path={path}").body


class Promises(PromisesTest):
    def counting(self):
        """Two that count at once; (their files, their numbers)."""
        files = ("one", "two")
        self.sh("rm -f one two")
        numbers = [self.background(COUNT.format(file=file)) for file in files]
        harness.wait_until(lambda: self.sh("cat one two | wc -l").strip() > "9", "it counts")
        return list(zip(files, numbers))

    def assert_nothing_told_is_lost(self, counting):
        for file, number in counting:
            told = last_line(self.said_by(number))
            self.assertGreaterEqual(last_line(self.sh(f"cat {file}")), told)

    def test_all_that_an_exec_has_said_before_a_night_is_in_it(self):
        for _ in range(8 if MANY else 3):
            counting = self.counting()
            self.home.must("session", "hibernate", self.session)
            self.assert_nothing_told_is_lost(counting)

    def test_tared_killed_at_any_call_of_a_night_and_nothing_that_was_told_is_lost(self):
        def one(kill_before):
            counting = self.counting()
            traced = stepper.Stepper(self.home.program_pid("tared"))
            asked = harness.UnixConnection(self.home.path / "run/tared.sock")
            asked.request("POST", f"/v1/sessions/{self.session}/hibernate")
            asked.sock.setblocking(False)

            def answered():
                try:
                    return len(asked.sock.recv(1, harness.socket.MSG_PEEK)) >= 0
                except BlockingIOError:
                    return False

            killed = traced.run_until(answered, kill_before)
            acknowledged = not killed and asked.sock.recv(64).split()[1] == b"200"
            asked.close()
            self.home.up()
            harness.wait_until(lambda: self.state() in ("running", "hibernated"), "it has settled")
            if acknowledged:
                self.assertEqual(self.state(), "hibernated")
            slept = self.state() == "hibernated"
            if not slept:  # then they count on: nothing was lost, and they are told of
                for _, number in counting:
                    self.home.request("POST", f"/v1/runs/{self.session}/execs/{number}/signal",
                                      {"signal": "KILL"})
            for file, number in counting:
                api = f"/v1/runs/{self.session}/execs/{number}"
                harness.wait_until(lambda: self.home.request("GET", api).json["state"] == "ended",
                                   "its end")
            self.assert_nothing_told_is_lost(counting)
            return traced.calls, slept

        count, slept = one(0)
        self.assertTrue(slept)
        # The night is on record some calls before the last: there it matters most.
        tries = range(1, count + 1) if MANY else [count * i // 5 for i in range(1, 4)] + [
            count - back for back in (40, 30, 24, 18, 14, 10, 6, 2) if back < count]
        print(f"tared: {count} system calls in a night; killed before {len(tries)}")
        nights = 0
        for number in tries:
            with self.subTest(call=number):
                nights += one(number)[1]
        self.assertGreater(nights, 0)

    def test_what_was_answered_awake_outlives_tared_and_the_store(self):
        for name in ("tared", "tare-store"):
            body = os.urandom(100_000)
            self.assertEqual(self.put("put", body).status, 200)
            harness.sigkill(self.home.program_pid(name))
            self.home.up()
            self.home.must("session", "exec", self.session, "--", "sh", "-c", "echo done >ended")
            harness.sigkill(self.home.program_pid(name))
            self.home.up()
            self.assertEqual(self.get("put"), body)
            self.assertEqual(self.sh("cat ended; rm ended"), "done\n")

    def test_an_end_that_was_answered_is_kept_whatever_dies(self):
        for names in (("tared",), ("tare-launcher",), ("tared", "tare-launcher", "tare-store")):
            for sleeps in (False, True):
                session = self.home.must("session", "new").stdout.decode().strip()
                self.home.must("session", "exec", session, "--", "sh", "-c", "echo o >/output/o")
                if sleeps:
                    self.home.must("session", "hibernate", session)
                pids = [self.home.program_pid(name) for name in names]
                answer = self.home.request("DELETE", f"/v1/sessions/{session}")
                self.assertEqual(answer.status, 202, answer.body)
                for pid in pids:
                    harness.sigkill(pid)
                self.home.up()
                # Of the launcher's death, if that came first.
                self.assertIn(self.home.wait_ended(session)["state"], ("cancelled", "failed"))
                if names == ("tared",):
                    kept = self.home.must("artifacts", session).stdout.decode().split()
                    self.assertIn("o", kept)


class Kept(PromisesTest):
    """Of a durable session, and of any behind `session checkpoint`."""

    OPTIONS = ("--durable",)

    def end(self, *names):
        self.end_pids([self.home.program_pid(name) for name in names])

    def end_pids(self, pids):
        for pid in pids:
            harness.sigkill(pid)
        self.home.up()
        harness.wait_until(lambda: self.state() in ("running", "hibernated"), "it has settled")

    def test_whatever_dies_a_file_and_the_end_of_an_exec_that_were_answered_are_there(self):
        daemons = ("tared", "tare-store", "tare-launcher")
        for names in (*((name,) for name in daemons), daemons):
            body = os.urandom(100_000)
            self.assertEqual(self.put("put", body).status, 200)
            self.end(*names)
            self.assertEqual(self.get("put"), body, names)
            said = self.sh("echo done >ended; echo told")
            number = self.home.request("GET", f"/v1/runs/{self.session}/execs").json["execs"][-1]
            self.end(*names)
            self.assertEqual(self.sh("cat ended; rm ended"), "done\n", names)
            self.assertEqual(self.said_by(str(number["number"])), said)

    def test_what_a_checkpoint_was_answered_for_is_there_whatever_dies(self):
        plain = self.home.must("session", "new").stdout.decode().strip()
        durable, self.session = self.session, plain
        for names in (("tared",), ("tare-store",), ("tare-launcher",),
                      ("tared", "tare-launcher", "tare-store")):
            self.sh(f"echo {names[0]}{len(names)} >>f")
            self.home.must("session", "checkpoint", plain)
            expected = self.sh("cat f")
            self.end(*names)
            self.assertEqual(self.sh("cat f"), expected)
        self.home.must("session", "kill", plain)
        self.session = durable

    def test_tared_killed_at_any_call_of_a_durable_write_and_nothing_that_was_told_is_lost(self):
        self.put("f", b"0")

        def one(kill_before):
            before, launcher = self.get("f"), self.home.program_pid("tare-launcher")
            body = os.urandom(8).hex().encode()
            traced = stepper.Stepper(self.home.program_pid("tared"))
            asked = harness.UnixConnection(self.home.path / "run/tared.sock")
            asked.request("PUT", f"/v1/runs/{self.session}/files/content?path=f", body)
            asked.sock.setblocking(False)

            def answered():
                try:
                    return len(asked.sock.recv(1, harness.socket.MSG_PEEK)) >= 0
                except (BlockingIOError, ConnectionResetError):
                    return False

            killed = traced.run_until(answered, kill_before)
            acknowledged = not killed and asked.sock.recv(64).split()[1] == b"200"
            asked.close()
            self.end_pids([launcher])  # what is left is what is on the disk
            found = self.get("f")
            self.assertIn(found, (body,) if acknowledged else (before, body))
            return traced.calls, found == body

        count, written = one(0)
        self.assertTrue(written)
        # How many there are is not always the same: the last of these are behind its answer.
        tries = range(1, 2 * count) if MANY else [count * i // 8 for i in range(1, 17)]
        print(f"tared: {count} system calls in a durable write; killed before {len(tries)}")
        kept = 0
        for number in tries:
            with self.subTest(call=number):
                kept += one(number)[1]
        self.assertGreater(kept, 0)


if __name__ == "__main__":
    unittest.main()
