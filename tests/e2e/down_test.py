"""What `tare down` leaves for the next `tare up`."""

import unittest

import harness


class Down(harness.TareTest):
    def new(self, *options):
        return self.home.must("session", "new", "--env", "host",
                              *options).stdout.decode().strip()

    def inside(self, session, *command):
        return self.home.must("session", "exec", session, "--", *command).stdout

    def state(self, run):
        return self.home.inspect(run)["state"]

    def test_sessions_are_there_again_and_runs_are_not(self):
        asleep, awake = self.new(), self.new()
        stubborn = self.new("--idle", "1h", "--on-idle", "kill")
        durable = self.new("--idle", "1h", "--on-idle", "kill", "--durable")
        for session in (asleep, awake, durable):
            self.inside(session, "sh", "-c", f"echo of {session} >file")
        self.home.must("session", "hibernate", asleep)
        run = self.home.detached("sleep", "1000")
        said = self.home.must("down").stdout.decode()
        self.assertIn("2 active runs were killed; 2 sessions hibernate until the next", said)
        self.assertEqual(self.home.processes(), [])
        self.home.up()
        self.assertEqual([self.state(one) for one in (asleep, awake, durable, stubborn, run)],
                         ["hibernated"] * 3 + ["cancelled"] * 2)
        for session in (asleep, awake, durable):
            self.assertEqual(self.inside(session, "cat", "file"), f"of {session}\n".encode())
            self.home.must("session", "kill", session)

    def test_one_that_cannot_hibernate_is_named(self):
        session = self.new()
        secret = "a-canary-nobody-has-0123456789"
        self.home.must("canary", "add", "bird", data=secret.encode())
        self.inside(session, "sh", "-c", f"echo {secret} >leak")
        done = self.home.must("down")
        self.assertIn(f"session {session} cannot hibernate and is killed", done.stderr.decode())
        self.assertIn("leak", done.stderr.decode())
        self.home.up()
        self.assertEqual(self.state(session), "cancelled")


if __name__ == "__main__":
    unittest.main()
