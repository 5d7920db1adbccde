"""Environments of many layers: made flat behind their backs, and the same to everybody. And what a
run sees is the same whatever happens around it."""

import json
import os
import unittest

import harness
from layers import EnvironmentsTest, programs

TOOLS = programs("sh", "cat", "find", "sort", "sha256sum", "xargs", "mkdir", "rm", "ls", "true")
# Else tare-init adds the account to each sandbox's own copy, at that moment's time.
TOOLS["etc/passwd"] = b"agent:x:1000:1000:agent:/home/agent:/bin/sh\n"
TOOLS["etc/group"] = b"agent:x:1000:\n"
DEPTH = 100
CHAIN = [TOOLS] + [{f"srv/layer/{i}": b"%d\n" % i, "srv/common": b"of %d\n" % i}
                   for i in range(1, DEPTH)]
# All that is there, by every property that a digest covers, but for what is this run's own.
OWN = ("proc", "dev", "sys", "tmp", "run", "var/tmp", "etc/hostname", "etc/hosts",
       "etc/machine-id", "input", "output")
PRUNE = " -o ".join(f"-path ./{path}" for path in OWN)
TREE = (rf"cd /; find . -xdev \( {PRUNE} \) -prune -o -printf '%P %y %m %U %G %n %l ' "
        r"\( -type f -printf '%s %Ts ' -exec sha256sum {} \; -o -type d -printf '\n' "
        r"-o -printf '%Ts\n' \) | sort | sha256sum; cat /proc/net/dev")


class Flat(EnvironmentsTest):
    ENVIRONMENTS = {"deep": CHAIN, "tools": [TOOLS]}

    def show(self, name):
        return json.loads(self.home.must("env", "show", name, "--json").stdout)

    def flat(self, name):
        return harness.wait_until(lambda: self.settled(name), f"{name} to be flat")

    def settled(self, name):
        shown = self.show(name)
        mounted = len(shown.get("flat", [])) + len(shown["layers"]) - shown.get("flat_depth", 0)
        return shown if mounted <= 8 and "flat" in shown else None

    def run_in(self, name, command):
        return self.home.must("run", "--env", name, "--", "sh", "-c", command).stdout.decode()

    def test_a_chain_longer_than_can_be_mounted_runs_and_has_its_layers_and_digest(self):
        before = self.show("deep")
        shown = self.flat("deep")
        self.assertEqual(len(shown["layers"]), DEPTH)
        self.assertEqual((shown["layers"], shown["digest"]), (before["layers"], before["digest"]))
        self.assertEqual(shown["flat"][0], shown["layers"][0])
        self.assertEqual(self.run_in("deep", "cat /srv/common; cat /srv/layer/* | sort -n"),
                         f"of {DEPTH - 1}\n" + "".join(f"{i}\n" for i in range(1, DEPTH)))
        # Kept by a sweep, known to verify.
        self.home.must("env", "gc")
        self.home.must("env", "verify", "deep")
        path = self.layer(shown["flat"][1]) / "root/srv/layer/7"
        times = path.stat()
        path.write_bytes(b"8\n")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        damaged = self.home.tare("env", "verify", "deep")
        self.assert_status(damaged, 70)
        self.assertIn(f"layer {shown['flat'][1]}", damaged.stdout.decode())
        path.write_bytes(b"7\n")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.home.must("env", "verify", "deep")
        # And after a restart, of which the first thing is a run.
        self.home.down()
        self.home.up()
        self.assertEqual(self.run_in("deep", "cat /srv/common"), f"of {DEPTH - 1}\n")

    def test_sessions_that_go_on_and_new_runs_see_the_same_before_and_after(self):
        name, session = "tools", None
        for i in range(14):
            session = self.home.must("session", "new", "--env", name, "--user",
                                     "root").stdout.decode().strip()
            self.home.must("session", "exec", session, "--", "sh", "-c",
                           f"mkdir -p /srv/{i}/sub; echo {i} >/srv/{i}/file; rm -rf /srv/{i - 3}; "
                           f"mkdir -p /srv/{i - 3}; rm -f /srv/same; echo {i} >/srv/same")
            name = f"step-{i}"
            self.home.must("env", "freeze", session, "--name", name)
            if i == 12:
                before, going_on = self.run_in(name, TREE), session
            else:
                self.home.must("session", "kill", session)
        inside = ("session", "exec", going_on, "--", "sh", "-c", TREE)
        seen = self.home.must(*inside).stdout
        self.flat("step-13")
        self.flat("step-12")
        self.assertEqual(self.run_in("step-12", TREE), before)
        self.assertEqual(self.home.must(*inside).stdout, seen)
        self.home.must("env", "gc")
        self.assertEqual(self.home.must(*inside).stdout, seen)
        told = self.home.must("env", "diff", "step-12", "step-13").stdout.decode()
        self.assertIn("srv/13/file", told)
        self.assertNotIn("srv/5/file", told)
        self.home.must("env", "freeze", going_on, "--name", "late")
        self.assertEqual(self.run_in("late", TREE), before)
        self.home.must("session", "kill", going_on)


class Reproducible(EnvironmentsTest):
    ENVIRONMENTS = {"box": [TOOLS, {"srv/data": b"x" * 10_000}]}

    def apply(self, number):
        folder = self.folder / f"agent-{number}"
        folder.mkdir()
        (folder / "agent.toml").write_text(
            'name = "reader"\nenvironment = "box"\nentry = ["sh", "work.sh"]\n'
            'files = ["work.sh"]\n')
        (folder / "work.sh").write_text(f"# {number}\ncat /srv/data | sha256sum\n")
        self.home.must("agent", "apply", folder)

    def deploy(self, version):
        """Another runner, for all runs of the agent."""
        folder = self.folder / f"runner-{version}"
        folder.mkdir()
        (folder / "runner.toml").write_text(
            f'name = "other"\nversion = "{version}"\nentry = ["sh", "/opt/tare/runner/main.sh"]\n'
            'handshake = ["echo", \'{"tare_runner":1}\']\n')
        (folder / "main.sh").write_text(f"# {version}\ncat /srv/data | sha256sum\n")
        self.home.must("runner", "add", folder)
        if version == 0:
            agent = self.folder / "loaded"
            agent.mkdir()
            (agent / "agent.toml").write_text('name = "loaded"\nenvironment = "box"\n'
                                              'runner = "other"\nentry = "x"\n')
            self.home.must("agent", "apply", agent)
        else:
            self.home.must("runner", "use", f"other@{version}", "--agent", "loaded")

    def test_a_run_sees_the_same_files_whatever_happened_in_between(self):
        digest = json.loads(self.home.must("env", "show", "box", "--json").stdout)["digest"]
        seen, said = set(), set()
        for i in range(10):
            self.apply(i)
            self.deploy(i)
            said.add(self.home.must("run", "reader").stdout)
            said.add(self.home.must("run", "loaded").stdout)
            seen.add(self.home.must("run", "--env", "box", "--", "sh", "-c", TREE).stdout)
            if i == 2:
                harness.sigkill(self.home.program_pid("tared"))
                self.home.up()
            if i == 4:
                self.home.down()
                self.home.up()
            shown = json.loads(self.home.must("env", "show", "box", "--json").stdout)
            self.assertEqual(shown["digest"], digest)
        self.assertEqual((len(seen), len(said)), (1, 1), seen)
        self.assertIn(b" lo:", seen.pop())
        self.home.must("env", "verify", "box")


if __name__ == "__main__":
    unittest.main()
