"""Sessions, as tests use them."""

import harness


class SessionsTest(harness.TareTest):
    """On `host`: what a session has changed is all that counts."""

    def new(self, *options):
        return self.home.must("session", "new", *options).stdout.decode().strip()

    def sh(self, session, script, **more):
        done = self.home.must("session", "exec", session, "--", "sh", "-c", script, **more)
        return done.stdout.decode()

    def fork(self, session, count):
        made = self.home.must("session", "fork", session, "-n", count)
        return made.stdout.decode().split()

    def state(self, session):
        return self.home.inspect(session)["state"]

    def events(self, session):
        return [event["type"] for event in self.home.inspect(session)["events"]]

    def hibernate(self, session):
        self.home.must("session", "hibernate", session)
        self.assertEqual(self.state(session), "hibernated")

    def kill(self, *sessions):
        self.home.must("session", "kill", *sessions)
        for session in sessions:
            self.home.wait_ended(session)

    def checkpoint(self, session):
        """The session's record, when that is done."""
        self.home.must("session", "checkpoint", session)
        return self.home.request("GET", f"/v1/sessions/{session}").json

    def lose_launcher(self, *sessions):
        """Its sandboxes are gone, and those sessions sleep, when this returns; it is up again."""
        harness.sigkill(self.home.program_pid("tare-launcher"))
        for session in sessions:
            harness.wait_until(lambda: self.state(session) == "hibernated", "it sleeps on")
        self.home.up()

    def put(self, session, path, body):
        return self.home.request("PUT", f"/v1/runs/{session}/files/content?path={path}", body)

    def get(self, session, path):
        return self.home.request("GET", f"/v1/runs/{session}/files/content?path={path}").body
