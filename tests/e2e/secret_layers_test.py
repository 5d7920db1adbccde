"""Secrets in what lies below and what comes from outside: layers that an environment has, also
where one hides them, archives, runners, agents' files (ATTACKS S38)."""

import io
import json
import tarfile
import unittest

import harness
from layers import EnvironmentsTest, layer_folder, programs

SECRET = b"pk_live/Zq81+correct-horse-battery"
BASE = programs("sh", "cat", "mkdir", "rm")
LEAKY = {"srv/app/key": b"key=" + SECRET + b"\n"}
HIDES = {"srv/app/key": b"key=gone\n"}
AGENT = """name = "leaky"
environment = "box"
entry = ["/bin/cat", "key.txt"]
files = ["key.txt"]
"""
RUNNER = """name = "leaky"
version = "1.0"
entry = ["main"]
handshake = ["main", "--ready"]
"""


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class SecretLayers(EnvironmentsTest):
    ENVIRONMENTS = {"box": [BASE], "leaky": [BASE, LEAKY], "hiding": [BASE, LEAKY, HIDES]}

    def know(self, name="deploy-key", value=SECRET):
        self.home.must("canary", "add", name, data=value)
        self.addCleanup(self.home.tare, "canary", "rm", name)

    def session(self, environment):
        made = self.home.must("session", "new", "--env", environment, "--user", "root")
        session = made.stdout.decode().strip()
        self.addCleanup(self.home.tare, "session", "kill", session)
        return session

    def names(self):
        return {one["name"] for one in self.json("list")["environments"]}

    def assert_refused(self, result, place, status=73):
        self.assert_status(result, status)
        self.assertRegex(result.stderr.decode(), f'the secret "deploy-key" is in {place}')
        self.assertNotIn(SECRET, result.stderr + result.stdout)

    def test_S38_a_secret_learnt_later_is_found_in_the_layers_below_also_where_hidden(self):
        for environment in ("leaky", "hiding"):
            session = self.session(environment)
            self.home.must("session", "exec", session, "--", "sh", "-c", "echo x >/srv/more")
            self.home.must("env", "freeze", session, "--name", f"early-{environment}")
            self.know()
            place = f'"srv/app/key" of layer {self.digests[environment][1]}, which never changes'
            before = self.names() - {"late"}
            self.assert_refused(self.home.tare("env", "freeze", session, "--name", "late"), place)
            out = self.folder / "out.tar"
            self.assert_refused(self.home.tare("env", "export", environment, out), place)
            self.assertFalse(out.exists())
            self.assert_refused(self.home.tare("env", "push", environment, "127.0.0.1:9/x:1",
                                               "--insecure-http"), place)
            built = self.home.tare("env", "build", "--from", environment, "--name", "late", "--",
                                   "sh", "-c", "true")
            self.assert_refused(built, place, 125)
            self.assertEqual(self.names() - {"late"}, before)
            # What nothing new is made of goes on.
            self.home.must("session", "hibernate", session)
            self.assertEqual(self.home.must("session", "exec", session, "--", "cat",
                                            "/srv/more").stdout, b"x\n")
            self.home.must("canary", "rm", "deploy-key")
            self.home.must("env", "freeze", session, "--name", f"late-{environment}")

    def test_another_secret_has_every_layer_searched_again_and_none_twice_for_the_same(self):
        box = layer_folder(self.home, self.digests["box"][0])
        self.know("other", b"another secret, of nobody here")
        session = self.session("box")
        self.home.must("env", "freeze", session, "--name", "one")
        mark = (box / "searched").read_bytes()
        self.assertEqual(len(mark), 65)
        when = (box / "searched").stat().st_mtime_ns
        self.home.must("env", "freeze", session, "--name", "two")
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()
        self.home.must("env", "freeze", session, "--name", "three")
        self.assertEqual((box / "searched").stat().st_mtime_ns, when)
        self.know()
        self.home.must("env", "freeze", session, "--name", "four")
        self.assertNotEqual((box / "searched").read_bytes(), mark)
        self.home.must("env", "verify")  # it belongs there
        for name in ("one", "two", "three", "four"):
            self.home.must("env", "rm", name)

    def test_what_comes_in_from_outside_is_searched_and_refused_by_the_files_name(self):
        self.know()
        before = self.names()
        archive = self.folder / "a.tar"
        archive.write_bytes(tar_of({"etc/app.env": b"KEY=" + SECRET}))
        self.assert_refused(self.home.tare("env", "import", archive, "--name", "in"),
                            '"etc/app.env".*make it again without')
        self.assertEqual(self.names(), before)
        runner = self.folder / "runner"
        runner.mkdir()
        (runner / "runner.toml").write_text(RUNNER)
        (runner / "main").write_bytes(b"#!/bin/sh\n# " + SECRET)
        self.assert_refused(self.home.tare("runner", "add", runner), '.*"main".*take it out')
        (self.folder / "agent.toml").write_text(AGENT)
        (self.folder / "key.txt").write_bytes(SECRET)
        self.assert_refused(self.home.tare("agent", "apply", self.folder),
                            '"home/agent/key.txt".*take it out')
        (self.folder / "key.txt").write_bytes(b"none")
        self.home.must("agent", "apply", self.folder)

    def test_verify_looks_for_secrets_when_asked(self):
        self.home.must("env", "verify", "leaky", "--secrets")
        self.know()
        self.home.must("env", "verify", "leaky")
        self.home.must("env", "verify", "box", "--secrets")
        found = self.home.tare("env", "verify", "box", "leaky", "--secrets")
        self.assert_status(found, 73)
        layer = self.digests["leaky"][1]
        self.assertRegex(found.stdout.decode(), '(?m)^leaky: SECRET: the secret "deploy-key" is in '
                                                f'"srv/app/key" of layer {layer}')
        report = json.loads(self.home.tare("env", "verify", "leaky", "--secrets", "--json").stdout)
        self.assertEqual((report["intact"], report["clean"]), (True, False))
        everything = self.home.tare("env", "verify", "--secrets", "--json")
        self.assert_status(everything, 73)
        report = json.loads(everything.stdout)
        told = {one["digest"]: one["needed_by"] for one in report["objects"] if one.get("secret")}
        self.assertEqual(set(told), {layer})
        self.assertLessEqual({"environment hiding", "environment leaky"}, set(told[layer]))
        self.assertNotIn(SECRET, everything.stdout + everything.stderr)
        text = self.home.tare("env", "verify", "--secrets").stdout
        self.assertIn(b"environment leaky: SECRET: ", text)
        self.assertNotIn(b"leaky: intact", text + found.stdout)


if __name__ == "__main__":
    unittest.main()
