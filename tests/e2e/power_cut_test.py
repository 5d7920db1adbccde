"""Power cuts: what was acknowledged is there whole, whatever the disk had not been told to keep.

A session is frozen again and again on a home that lies on a disk of power_cut.py. Then, for
moments of that story, the machine is started again from what the disk had: the journal is replayed,
the daemons start, every environment is verified, and all that had been acknowledged by then must be
there.
TARE_CUTS=N: so many moments instead of a few.
"""

import json
import os
import random
import shutil
import tempfile
import unittest

import harness
import layers
from power_cut import Disk, unmount

CUTS = int(os.environ.get("TARE_CUTS", "6"))
FREEZES = max(4, CUTS // 4)
MEGABYTES = 192


class Story:
    """What was done on a disk, and what was acknowledged when: [(position, name, digest, sum)]."""

    def __init__(self, disk, environment):
        self.disk, self.acknowledged = disk, []
        self.home = harness.Home(folder=disk.mount)
        self.home.environment.update(environment)
        self.home.up()
        self.home.down()
        base = layers.make_layer(self.home, layers.programs("sh", "sleep", "cat", "head", "mkdir",
                                                            "rm", "sha256sum"))
        layers.put_environment(self.home, "box", [base])
        os.sync()
        self.begin = disk.position()
        self.home.up()
        session = self.home.must("session", "new", "--env", "box", "--user", "root",
                                 "--mem", "512M", "--disk", "64M").stdout.decode().strip()
        for i in range(FREEZES):
            self.freeze(session, i)
        self.end = disk.position()
        self.home.must("session", "kill", session)
        self.home.wait_ended(session)
        self.home.down()

    def freeze(self, session, i):
        changed = self.home.must(
            "session", "exec", session, "--", "sh", "-c",
            f"mkdir -p /srv/{i} && head -c {50_000 * (i + 1)} /dev/urandom >/srv/{i}/data && "
            f"rm -rf /srv/{i - 2} && cat /srv/*/data | sha256sum")
        name = f"frozen-{i}"
        answer = self.home.request("POST", f"/v1/sessions/{session}/freeze", {"name": name})
        if answer.status != 201:
            raise AssertionError(answer.body)
        self.acknowledged.append(
            (self.disk.position(), name, answer.json["digest"], changed.stdout))

    def losses(self, position, luck, with_runs=False):
        """Starts from what a cut there leaves; what is not as it must be, one line each."""
        image = self.disk.after_cut(position, luck)
        Disk.mounted(image, self.disk.mount)
        try:
            return self.losses_here(position, with_runs)
        finally:
            self.home.tare("down")
            unmount(self.disk.mount)

    def losses_here(self, position, with_runs):
        up = self.home.tare("up", "--detach", "--port", "0")
        if up.returncode != 0:
            return [f"it does not start: {up.stderr.decode()}"]
        found = []
        if staged := os.listdir(self.home.path / "store/staging"):
            found.append(f"staging has {staged}")
        verified = self.home.tare("env", "verify")
        if verified.returncode != 0:
            found.append(f"verify: {verified.stdout.decode()}{verified.stderr.decode()}")
        for at, name, digest, content in self.acknowledged:
            if at > position:
                continue
            shown = self.home.tare("env", "show", name, "--json")
            if shown.returncode != 0 or json.loads(shown.stdout)["digest"] != digest:
                found.append(f"{name} is not there: {shown.stderr.decode()}")
            elif with_runs:
                seen = self.home.must("run", "--env", name, "--", "sh", "-c",
                                      "cat /srv/*/data | sha256sum").stdout
                if seen != content:
                    found.append(f"{name} shows something else")
        return found


class PowerCut(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
            self.skipTest("needs root, /dev/fuse and loop devices")
        self.folder = tempfile.mkdtemp(prefix="tare-cut-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)

    def story(self, environment=None):
        """Told to its end on a disk, which is then taken away: its writes stay."""
        disk = Disk(self.folder, MEGABYTES)
        with disk:
            story = Story(disk, environment or {})
        return story

    def test_what_was_acknowledged_is_there_whole_whenever_the_power_goes(self):
        story = self.story()
        luck = random.Random(4)
        moments = [at for at, *_ in story.acknowledged]
        luck.shuffle(moments)
        moments = moments[:CUTS // 2]
        moments += [luck.randrange(story.begin, story.end) for _ in range(CUTS - len(moments))]
        for number, moment in enumerate(moments):
            with self.subTest(moment=moment):
                self.assertEqual(story.losses(moment, luck, with_runs=number == 0), [])

    def test_a_store_or_a_daemon_that_forgot_to_sync_would_be_found(self):
        for program in ("tare-store", "tared"):
            with self.subTest(program=program):
                shutil.rmtree(self.folder)
                os.mkdir(self.folder)
                story = self.story({"LD_PRELOAD": str(harness.BIN / "tare-sync-shim.so"),
                                    "TARE_SYNCS": "drop", "TARE_SYNCS_IN": program})
                story.home.environment.pop("LD_PRELOAD")
                luck = random.Random(5)
                lost = [line for at, *_ in reversed(story.acknowledged)
                        for line in story.losses(at, luck)]
                self.assertNotEqual(lost, [])


if __name__ == "__main__":
    unittest.main()
