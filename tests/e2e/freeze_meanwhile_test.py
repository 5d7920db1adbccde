"""A session that sleeps, or sleeps and wakes, while what it stands on is searched for secrets: what
is frozen then is what it has changed. The search takes as long as the test wants: the process that
does it is stopped meanwhile."""

import concurrent.futures
import contextlib
import os
import signal
import time
import unittest

import harness
import layers
import sessions


class FreezeMeanwhile(sessions.SessionsTest, layers.EnvironmentsTest):
    ENVIRONMENTS = {"large": [{**layers.programs("sh", "cat"), "srv/.keep": b""},
                              {"data": bytes(100_000_000)}]}

    @contextlib.contextmanager
    def frozen_while(self, session, name):
        """What is done in it is done while that freeze searches; the environment is there then."""
        self.home.must("canary", "add", name, data=os.urandom(20).hex().encode())
        self.addCleanup(self.home.must, "canary", "rm", name)
        path = f"/v1/sessions/{session}/freeze"
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.home.request, "POST", path, {"name": name})
            job = harness.wait_until(lambda: self.home.store_jobs() or asked.done(), "the search")
            self.assertFalse(asked.done(), "the search ended before it could be stopped")
            os.kill(job[0], signal.SIGSTOP)
            try:
                harness.wait_until(lambda: harness.status_of(job[0])["State"][0] == "T",
                                   "the search stands still", 10)
                yield
            finally:
                os.kill(job[0], signal.SIGCONT)
            answer = asked.result()
        self.assertEqual(answer.status, 201, answer.body)

    def seen_in(self, environment):
        run = self.home.must("run", "--env", environment, "--", "sh", "-c", "cat /srv/*")
        return run.stdout.decode().split()

    def test_one_that_hibernates_meanwhile_is_frozen_with_what_it_has_changed(self):
        session = self.new("--env", "large", "--user", "root")
        self.sh(session, "echo mine >/srv/a")
        with self.frozen_while(session, "asleep"):
            self.hibernate(session)
        self.assertEqual(self.seen_in("asleep"), ["mine"])
        self.assertEqual(self.state(session), "hibernated")
        self.kill(session)

    def test_one_that_slept_and_woke_meanwhile_is_frozen_with_all_its_layers(self):
        session = self.new("--env", "large", "--user", "root")
        self.sh(session, "echo first >/srv/a")
        self.hibernate(session)
        self.sh(session, "echo second >/srv/b")
        with self.frozen_while(session, "awake"):
            self.hibernate(session)
            self.sh(session, "echo third >/srv/c")
        self.assertEqual(self.seen_in("awake"), ["first", "second", "third"])
        self.kill(session)

    def test_one_that_is_frozen_is_not_idle(self):
        session = self.new("--env", "large", "--user", "root", "--idle", "1s")
        with self.frozen_while(session, "busy"):
            self.sh(session, "echo mine >/srv/a")
            time.sleep(2.5)  # longer than --idle, and than tared takes to see to it
            self.assertEqual(self.state(session), "running")
        self.assertEqual(self.seen_in("busy"), ["mine"])
        self.kill(session)


if __name__ == "__main__":
    unittest.main()
