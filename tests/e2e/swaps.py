"""Sessions on `host` that are given other versions of their runners, for end-to-end tests."""

import json
import os

import harness
import layers

MANIFEST = """\
name = "{name}"
version = "{version}"
entry = ["sh", "/opt/tare/runner/main.sh"]
handshake = {handshake}
{more}
"""
# Also says no where the file `poison` is: only inside the session.
HANDSHAKE = """\
test ! -e /home/agent/poison && echo '{"tare_runner":1}'
"""
HANDSHAKE_FILE = ["sh", "/opt/tare/runner/handshake.sh"]


def box():
    """The environment that a runner of shell scripts can do with."""
    files = layers.programs("dash", "cat", "sleep")
    files["bin/sh"] = files["bin/dash"]
    return files


def add_runner(home, folder, name, version, files, handshake=None, more=""):
    """Made in `folder`; `more`: lines of its manifest."""
    folder = folder / f"{name}-{version}"
    folder.mkdir()
    (folder / "runner.toml").write_text(MANIFEST.format(
        name=name, version=version, handshake=json.dumps(handshake or HANDSHAKE_FILE), more=more))
    for path, text in {"handshake.sh": HANDSHAKE, **files}.items():
        (folder / path).write_text(text)
        os.utime(folder / path, (10**9, 10**9))  # no version's files have a time of their own
    home.must("runner", "add", folder)


class SwapTest(harness.TareTest):
    def add(self, name, version, files, handshake=None, seconds="5s", more=""):
        add_runner(self.home, self.folder, name, version, files, handshake,
                   f'handshake_time = "{seconds}"\n{more}')

    def session(self, runner, *options):
        made = self.home.must("session", "new", "--env", "host", "--runner", runner, *options)
        return made.stdout.decode().strip()

    def inside(self, session, script):
        return self.home.must("session", "exec", session, "--", "sh", "-c", script).stdout.decode()

    def swap(self, session, *runner):
        return self.home.tare("runner", "swap", session, *runner)

    def runner_of(self, session):
        return self.home.request("GET", f"/v1/sessions/{session}").json.get("runner")
