"""Programs that are begun in a session beside a change of its runner. The moment between is as long
as the test wants: the session's own tare-init, which starts them, is stopped meanwhile."""

import concurrent.futures
import contextlib
import os
import signal
import time
import unittest

import harness
import swaps

HELD_S = 1  # many times what a change takes
LOOK = "echo $TARE_RUNNER; sh /opt/tare/runner/main.sh; cat /opt/tare/runner/again"


def whole(runner):
    """What one that looks at it says."""
    version = runner.rpartition("@")[2]
    return f"{runner}\n{version}\n{version}\n".encode()


class SwapExec(swaps.SwapTest):
    def begun(self, name):
        """A session, and its tare-init. Both versions have been tried in it: a change is nothing
        but the exchange."""
        for version in "12":
            self.add(name, version, {"main.sh": f"echo {version}\n", "again": f"{version}\n"})
        session = self.session(f"{name}@1")
        for version in "21":
            self.assertEqual(self.swap(session, f"{name}@{version}").returncode, 0)
        self.inside(session, "(sleep 1000 >/dev/null 2>&1 &)")
        sleeper, = [pid for pid in self.home.programs()
                    if harness.read_text(f"/proc/{pid}/cmdline") == "sleep\0001000\0"]
        return session, int(harness.status_of(sleeper)["PPid"]), sleeper

    @contextlib.contextmanager
    def stopped(self, init):
        os.kill(init, signal.SIGSTOP)
        try:
            harness.wait_until(lambda: harness.status_of(init)["State"][0] == "T", "it stands", 10)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGCONT)

    def execs(self, session):
        return self.home.request("GET", f"/v1/runs/{session}/execs").json["execs"]

    def look(self, pool, session):
        return pool.submit(self.home.tare, "session", "exec", session, "--", "sh", "-c", LOOK)

    def test_one_that_is_just_being_started_has_the_old_runner_and_the_exchange_waits_for_it(self):
        session, init, _ = self.begun("held")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            with self.stopped(init):
                known = len(self.execs(session))
                early = self.look(pool, session)
                harness.wait_until(lambda: len(self.execs(session)) > known, "its record")
                asked = [pool.submit(self.swap, session, "held@2") for _ in range(2)]
                (refused,), (swapping,) = concurrent.futures.wait(
                    asked, harness.TIMEOUT_S, concurrent.futures.FIRST_COMPLETED)
                self.assert_reason(refused.result(), 73, ".*gets another runner already")
                time.sleep(HELD_S)
                late = self.look(pool, session)
                time.sleep(HELD_S)
                # Nothing of the change is announced, and who comes now waits for it.
                self.assertEqual(self.runner_of(session), "held@1")
                self.assertEqual(len(self.execs(session)), known + 1)
                self.assertFalse(early.done() or swapping.done() or late.done())
            self.assertEqual(swapping.result().returncode, 0, swapping.result().stderr)
            early, late = early.result(), late.result()
        self.assertIn(early.returncode, (0, 137), early.stderr)  # ended with all that ran
        self.assertTrue(whole("held@1").startswith(early.stdout), early.stdout)
        self.assertEqual((late.returncode, late.stdout), (0, whole("held@2")), late.stderr)
        self.home.must("session", "kill", session)

    def test_one_that_is_not_started_for_long_has_the_change_refused_and_nothing_happens(self):
        session, init, sleeper = self.begun("long")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            with self.stopped(init):
                known = len(self.execs(session))
                early = self.look(pool, session)
                harness.wait_until(lambda: len(self.execs(session)) > known, "its record")
                self.assert_reason(self.swap(session, "long@2"), 75,
                                   f".*exec [0-9]+ of {session} is just being started")
                self.assertEqual(self.runner_of(session), "long@1")
                self.assertFalse(early.done())
            early = early.result()
        self.assertEqual((early.returncode, early.stdout), (0, whole("long@1")), early.stderr)
        self.assertIn(sleeper, self.home.programs())
        self.assertEqual(self.swap(session, "long@2").returncode, 0)
        self.assertEqual(self.inside(session, LOOK).encode(), whole("long@2"))
        self.home.must("session", "kill", session)


if __name__ == "__main__":
    unittest.main()
