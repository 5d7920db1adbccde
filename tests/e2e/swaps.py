"""Sessions on `host` that are given other versions of their runners, for end-to-end tests."""

import json
import os

import harness

MANIFEST = """\
name = "{name}"
version = "{version}"
entry = {entry}
handshake = {handshake}
handshake_time = "{time}"
{more}
"""
# Also says no where the file `poison` is: only inside the session.
HANDSHAKE = """\
test ! -e /home/agent/poison && echo '{"tare_runner":1}'
"""


class SwapTest(harness.TareTest):
    def add(self, name, version, files, handshake=None, seconds="5s", more=""):
        folder = self.folder / f"{name}-{version}"
        folder.mkdir()
        handshake = handshake or ["sh", "/opt/tare/runner/handshake.sh"]
        (folder / "runner.toml").write_text(MANIFEST.format(
            name=name, version=version, entry=json.dumps(["sh", "/opt/tare/runner/main.sh"]),
            handshake=json.dumps(handshake), time=seconds, more=more))
        (folder / "handshake.sh").write_text(HANDSHAKE)
        for path, text in files.items():
            (folder / path).write_text(text)
            os.utime(folder / path, (10**9, 10**9))  # no version's files have a time of their own
        self.home.must("runner", "add", folder)

    def session(self, runner, *options):
        made = self.home.must("session", "new", "--env", "host", "--runner", runner, *options)
        return made.stdout.decode().strip()

    def inside(self, session, script):
        return self.home.must("session", "exec", session, "--", "sh", "-c", script).stdout.decode()

    def swap(self, session, *runner):
        return self.home.tare("runner", "swap", session, *runner)

    def runner_of(self, session):
        return self.home.request("GET", f"/v1/sessions/{session}").json.get("runner")
