"""Programs of different releases: each says its version, and a mismatch is refused at start."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
import unittest
from pathlib import Path

import harness

SRC = Path(__file__).resolve().parents[2] / "src"


def constant(header, name):
    """Our own protocol's number: only the release is to differ."""
    return int(re.search(rf"{name} = (\d+);", (SRC / header).read_text())[1])


LAUNCHER_PROTOCOL = constant("sandbox/launch/protocol.h", "kLauncherProtocol")
STORE_PROTOCOL = constant("snapshot/protocol.h", "kProtocolVersion")

# Listens as tare-launcher or tare-store would, and greets as one of release 9.9.9.
OTHER_RELEASE = """\
#!{python}
import os, socket, struct, sys
name = os.path.basename(sys.argv[0])
home = sys.argv[sys.argv.index("--home") + 1]
text = lambda value: struct.pack("<I", len(value)) + value
greeting = {{
    "tare-launcher": struct.pack("<BII", 0, {launcher_protocol}, os.getpid()) + text(b"v1")
                     + text(b"9.9.9") + struct.pack("<Q", 7),
    "tare-store": struct.pack("<BII", 0, 0x53455254, {store_protocol}) + text(b"9.9.9"),
}}[name]
path = home + "/run/" + name.removeprefix("tare-") + ".sock"
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(path)
os.chmod(path, 0o666)
server.listen(100)
kept = []
while True:
    client = server.accept()[0]
    kept.append(client)
    if client.recv(1000):
        client.send(greeting)
"""


class Handshake(harness.TareTest):
    starts_daemons = False

    def tearDown(self):
        self.home.sweep()
        shutil.rmtree(self.home.path / "run", ignore_errors=True)

    def bin_with(self, name, script):
        """A folder of the programs, one of which is the script."""
        folder = Path(tempfile.mkdtemp(prefix="te-bin-"))
        self.addCleanup(shutil.rmtree, folder)
        for program in ("tare", "tared", "tare-launcher", "tare-store", "tare-init", "tare-files"):
            shutil.copy(harness.BIN / program, folder / program)
        (folder / name).unlink()
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
        return folder

    def up(self, folder):
        return subprocess.run([folder / "tare", "up", "--detach", "--port", "0"], check=False,
                              env=self.home.environment, capture_output=True,
                              timeout=harness.TIMEOUT_S)

    def test_all_say_the_version_that_they_are_of(self):
        self.home.up()
        version = self.home.must("version").stdout.decode().split()[1]
        programs = self.home.request("GET", "/v1/health").json["programs"]
        self.assertEqual({p["name"]: p["version"] for p in programs},
                         dict.fromkeys(("tared", "tare-launcher", "tare-store"), version))
        self.home.down()

    def assert_refused(self, name, script, version):
        folder = self.bin_with(name, script)
        result = self.up(folder)
        self.assertNotEqual(result.returncode, 0)
        last = result.stderr.decode().splitlines()[-1]
        self.assertRegex(last, rf"^tare: {name} is of release {version}, tared of "
                               r"\d+\.\d+\.\d+: run `tare down`, then `tare up`$")

    def test_a_launcher_of_another_release_is_refused_at_once(self):
        self.assert_refused("tare-launcher", self.script(), r"9\.9\.9")

    def test_a_launcher_that_speaks_another_protocol_is_refused_at_once(self):
        self.assert_refused("tare-launcher", self.script(launcher_protocol=77),
                            r"unknown \(protocol 77\)")

    def test_a_store_of_another_release_is_refused_at_once(self):
        self.assert_refused("tare-store", self.script(), r"9\.9\.9")

    def script(self, launcher_protocol=LAUNCHER_PROTOCOL):
        return OTHER_RELEASE.format(python=shutil.which("python3"),
                                    launcher_protocol=launcher_protocol,
                                    store_protocol=STORE_PROTOCOL)


if __name__ == "__main__":
    unittest.main()
