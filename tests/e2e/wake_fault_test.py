"""A session that could not be woken sleeps on, and wakes as soon as what was wrong is mended.

docs/sessions.md has the table of all that can fail. Each call of a daemon that can fail fails once,
each daemon dies before each of its calls, the disk is full, a layer is missing. A few of the calls;
all of them with TARE_KILL_MATRIX=full (`./dev test full`).
"""

import errno
import os
import platform
import threading
import unittest

import harness
import layers
import stepper

TRIES = 6
# System calls of x86-64 that can fail for what is outside of the program, and how.
MAKERS = {257: errno.EMFILE, 437: errno.ENFILE, 258: errno.ENOSPC, 428: errno.EMFILE,
          429: errno.EINVAL, 430: errno.ENOMEM, 431: errno.EINVAL, 432: errno.ENOSPC,
          442: errno.EINVAL, 435: errno.EAGAIN, 53: errno.EMFILE, 319: errno.EMFILE,
          165: errno.ENOMEM, 77: errno.ENOSPC, 285: errno.ENOSPC, 308: errno.ENOMEM}
INIT = MAKERS | {9: errno.ENOMEM, 16: errno.EIO, 47: errno.ENOMEM, 56: errno.EAGAIN,
                 59: errno.ENOMEM, 83: errno.ENOSPC, 116: errno.ENOMEM, 117: errno.EAGAIN,
                 119: errno.EAGAIN, 126: errno.EPERM, 155: errno.EINVAL, 157: errno.EINVAL,
                 161: errno.ENOMEM, 166: errno.EBUSY, 170: errno.EPERM, 272: errno.ENOSPC,
                 289: errno.EMFILE, 291: errno.EMFILE, 233: errno.ENOSPC, 302: errno.EPERM,
                 317: errno.ENOMEM, 322: errno.ENOMEM, 334: errno.ENOMEM, 444: errno.ENOMEM,
                 445: errno.ENOMEM, 446: errno.ENOMEM, 41: errno.EMFILE, 88: errno.ENOSPC,
                 266: errno.ENOSPC, 259: errno.ENOSPC, 133: errno.ENOSPC, 90: errno.EPERM,
                 1: errno.ENOSPC}
DAEMON = {257: errno.EMFILE, 437: errno.EMFILE, 319: errno.EMFILE, 293: errno.EMFILE,
          258: errno.ENOSPC, 18: errno.ENOSPC, 75: errno.EIO, 77: errno.ENOSPC}


class Sleeps(harness.TareTest):
    pool = 0  # each waking makes its sandbox, and nobody makes another one meanwhile

    def setUp(self):
        super().setUp()
        self.session = self.home.must("session", "new").stdout.decode().strip()
        self.addCleanup(self.home.tare, "session", "kill", "--force", self.session)
        self.sh("echo mine >mine; echo kept >/output/o")
        self.home.must("session", "hibernate", self.session)

    def sh(self, script):
        return self.home.must("session", "exec", self.session, "--", "sh", "-c",
                              script).stdout.decode()

    def state(self):
        return self.home.inspect(self.session)["state"]

    def wakes_whole(self):
        self.assertEqual(self.sh("cat mine"), "mine\n")
        self.home.must("session", "hibernate", self.session)

    def without_its_layer(self, session):
        own = self.home.inspect(session)["own_layers"]["root"]
        return layers.moved_away(self.home, layers.layer_folder(self.home, own[0]))

    def waking(self):
        """In a thread: ends with the answer, or with tared. The answer: [.status, .json]."""
        answers = []

        def ask():
            try:
                answers.append(self.home.request("POST", f"/v1/sessions/{self.session}/wake"))
            except (OSError, harness.http.client.HTTPException):
                pass  # it was killed

        thread = threading.Thread(target=ask)
        thread.start()
        return thread, answers

    def refused(self, pids, errors, which, adopts=None):
        """A waking with that fault: how many calls there were that can have one, the answer's
        status, and did one have it? `adopts`: they are those of such processes that `pids` make, as
        in the Stepper."""
        traced = stepper.Stepper(*pids, mortal=True, adopts=adopts)
        thread, answers = self.waking()
        traced.run_refusing(lambda: not thread.is_alive(), errors, which,
                            of=lambda tid: not adopts or traced.known[tid] not in pids)
        thread.join()
        self.assertEqual(len(answers), 1, f"it died of it: {traced.refused}: {self.home.logs()}")
        answer, = answers
        if answer.status != 200:
            self.assertIn(answer.status, (409, 429, 500, 503, 507), answer.body)
            harness.wait_until(lambda: self.state() == "hibernated", "it sleeps on")
        self.wakes_whole()
        return traced.calls, answer.status, traced.refused is not None

    def matrix(self, name, pids, errors, adopts=None):
        if platform.machine() != "x86_64":
            self.skipTest("the numbers of system calls are those of x86-64")
        count, status, _ = self.refused(pids(), errors, 0, adopts)
        self.assertEqual(status, 200)
        numbers = stepper.some(count, TRIES)
        failed = met = 0
        for which in numbers:
            with self.subTest(call=which):
                _, status, refused = self.refused(pids(), errors, which, adopts)
                failed += status != 200
                met += refused
        print(f"{name}: {count} calls of a waking can fail; {met} of {len(numbers)} did it, which "
              f"{failed} wakings failed of")
        stepper.assert_swept(self, name, count, numbers, met, least=10)
        self.assertGreater(failed, 0, "no waking failed")

    def makers(self):
        return [pid for pid in self.home.processes()
                if harness.read_text(f"/proc/{pid}/comm") == "tare-maker\n"]

    def test_a_call_of_a_maker_that_fails_costs_nothing(self):
        self.matrix("maker", self.makers, MAKERS)

    def test_a_call_of_the_sandboxs_own_init_that_fails_costs_nothing(self):
        """From when it is made until the session is awake."""
        def is_init(pid):
            return harness.status_of(pid).get("NSpid", "").split()[-1:] == ["1"]

        self.matrix("tare-init", self.makers, INIT, is_init)

    def test_a_call_of_tared_that_fails_costs_nothing(self):
        self.matrix("tared", lambda: [self.home.program_pid("tared")], DAEMON)

    def killed(self, name, which):
        """A waking that is its last: how many calls it made, and was it killed?"""
        traced = stepper.Stepper(self.home.program_pid(name))
        thread, _ = self.waking()
        dead = traced.run_until(lambda: not thread.is_alive(), which)
        self.home.up()
        thread.join()
        harness.wait_until(lambda: self.state() in ("hibernated", "running"), "it has settled")
        self.wakes_whole()
        return traced.calls, dead

    def test_a_daemon_that_dies_in_the_midst_of_it_costs_nothing(self):
        for name in ("tare-launcher", "tared"):
            count, _ = self.killed(name, 0)
            tries, died = stepper.some(count, TRIES), 0
            for which in tries:
                with self.subTest(name=name, call=which):
                    died += self.killed(name, which)[1]
            stepper.assert_swept(self, name, count, tries, died)
        harness.sigkill(self.home.program_pid("tare-store"))
        self.assertEqual(self.sh("cat mine"), "mine\n")
        self.home.up()

    def test_a_fork_that_gets_no_sandbox_sleeps_until_it_can_have_one(self):
        with self.without_its_layer(self.session):
            fork = self.home.must("session", "fork", self.session).stdout.decode().strip()
            harness.wait_until(lambda: self.home.inspect(fork)["state"] == "hibernated",
                               "it sleeps")
        seen = self.home.must("session", "exec", fork, "--", "cat", "mine").stdout
        self.assertEqual(seen, b"mine\n")
        self.home.must("session", "kill", fork)

    def test_one_that_is_to_end_and_cannot_be_woken_for_its_output_sleeps_on(self):
        with self.without_its_layer(self.session):
            for path, method in ((f"/v1/sessions/{self.session}", "DELETE"),
                                 (f"/v1/runs/{self.session}/kill", "POST")):
                answer = self.home.request(method, path)
                self.assertEqual(answer.status, 409, answer.body)
                self.assertIn("--force", answer.json["error"]["message"])
                self.assertEqual(self.state(), "hibernated")
        self.assertEqual(self.home.request("POST", f"/v1/runs/{self.session}/kill").status, 202)
        self.home.wait_ended(self.session)
        self.assertIn("o", self.home.must("artifacts", self.session).stdout.decode().split())

    def test_one_whose_time_is_over_and_that_cannot_be_woken_ends_when_it_can(self):
        timed = self.home.must("session", "new", "--timeout", "2s").stdout.decode().strip()
        self.home.must("session", "exec", timed, "--", "sh", "-c", "echo o >/output/o; echo f >f")
        self.home.must("session", "hibernate", timed)
        with self.without_its_layer(timed):
            harness.wait_until(lambda: "cannot be ended now" in self.home.logs(), "it was tried")
            self.assertEqual(self.home.inspect(timed)["state"], "hibernated")
        ended = self.home.wait_ended(timed)
        self.assertEqual(ended["outcome"]["reason"], "timeout")
        self.assertIn("o", self.home.must("artifacts", timed).stdout.decode().split())

    def test_one_that_cannot_be_woken_can_be_given_up(self):
        with self.without_its_layer(self.session):
            self.home.must("session", "kill", "--force", self.session)
            self.assertEqual(self.home.inspect(self.session)["outcome"]["reason"], "killed")


class DiskFull(harness.SmallDiskTest):
    MEGABYTES = 256

    def test_a_full_disk_costs_nothing(self):
        session = self.home.must("session", "new", "--disk", "32M").stdout.decode().strip()
        run = lambda script: self.home.tare("session", "exec", session, "--", "sh", "-c", script)
        self.assertEqual(run("head -c 100000 /dev/zero >f; echo mine >mine").returncode, 0)
        self.home.must("session", "hibernate", session)
        failed = 0
        for left in (0, 0, 4096, 8192, 32768, 200_000, 1 << 20):
            with self.filled(left):
                woken = run("cat mine")
            failed += woken.returncode != 0
            harness.wait_until(lambda: self.home.inspect(session)["state"] in (
                "hibernated", "running"), "it has settled")
            again = run("cat mine; wc -c <f")
            self.assertEqual(again.stdout, b"mine\n100000\n", again.stderr)
            self.home.must("session", "hibernate", session)
        self.assertGreater(failed, 0)
        self.home.must("session", "kill", session)


if __name__ == "__main__":
    unittest.main()
