"""Secrets that no environment may have (ATTACKS S38)."""

import base64
import unittest

import harness
from layers import EnvironmentsTest, programs

SECRET = b"pk_live/Zq81+correct-horse-battery"


class Canary(EnvironmentsTest):
    ENVIRONMENTS = {"box": [programs("sh", "cat", "mkdir", "rm", "ln", "base64")]}

    def add(self, name, value, *options):
        return self.home.tare("canary", "add", name, *options, data=value)

    def names(self):
        out = self.home.must("canary", "list").stdout.decode()
        return [line.split()[0] for line in out.splitlines()[1:]]

    def session(self):
        made = self.home.must("session", "new", "--env", "box", "--user", "root")
        return made.stdout.decode().strip()

    def inside(self, session, command):
        return self.home.must("session", "exec", session, "--", "sh", "-c", command).stdout

    def tearDown(self):
        if names := self.names():
            self.home.must("canary", "rm", *names)

    def test_S38_a_freeze_with_a_secret_is_refused_by_the_files_name_and_the_session_goes_on(self):
        self.assert_status(self.add("deploy-key", SECRET + b"\n"), 0)
        session = self.session()
        places = {"plain": f"echo 'key={SECRET.decode()}' >/srv/x/plain",
                  "encoded": f"printf 'to {SECRET.decode()}' | base64 -w0 >/srv/x/encoded",
                  "link": f"ln -s '{SECRET.decode()}' /srv/x/link"}
        for name, command in places.items():
            self.inside(session, f"rm -rf /srv/x; mkdir -p /srv/x; {command}")
            refused = self.home.tare("env", "freeze", session, "--name", "leaky")
            self.assert_reason(refused, 73, f'.*the secret "deploy-key" is in .*"srv/x/{name}"')
            self.assertNotIn(SECRET, refused.stderr + refused.stdout)
            self.assertEqual(self.inside(session, "echo still here"), b"still here\n")
        self.inside(session, "rm -r /srv/x; echo harmless >/srv/y")
        self.home.must("env", "freeze", session, "--name", "clean")
        self.assertEqual(self.home.must("run", "--env", "clean", "--", "cat", "/srv/y").stdout,
                         b"harmless\n")
        self.home.must("session", "kill", session)

    def test_S38_a_build_that_leaves_a_secret_is_refused_by_the_files_name(self):
        self.assert_status(self.add("deploy-key", SECRET), 0)
        hidden = base64.b64encode(SECRET).decode()
        refused = self.home.tare("env", "build", "--from", "box", "--name", "unbuilt", "--", "sh",
                                 "-c", f"mkdir -p /srv/x; echo {hidden} | base64 -d >/srv/x/key")
        self.assertRegex(refused.stderr.decode(), 'what was built is refused: .*"deploy-key" is in '
                                                  '.*"srv/x/key"')
        used = self.home.tare("run", "--env", "unbuilt", "--", "cat", "/srv/x/key")
        self.assertNotEqual(used.returncode, 0)

    def test_one_line_end_is_left_out_of_stdin_and_of_a_file_alike(self):
        session = self.session()
        self.inside(session, f"mkdir -p /srv; printf 'k={SECRET.decode()};' >/srv/one-line")
        for number, end in enumerate((b"", b"\n", b"\r\n", b"\n\n", b"\r")):
            file = self.folder / f"key{number}"
            file.write_bytes(SECRET + end)
            kept = SECRET + {b"\n\n": b"\n", b"\r": b"\r"}.get(end, b"")
            for name, data, options in (("by-file", None, ("--from-file", file)),
                                        ("by-stdin", SECRET + end, ())):
                with self.subTest(end=end, name=name):
                    self.assert_status(self.add(name, data, *options), 0)
                    path = self.home.path / "state/canaries" / name
                    self.assertEqual(path.read_bytes(), kept)
                    refused = self.home.tare("env", "freeze", session, "--name", f"n{number}")
                    self.assertEqual(refused.returncode, 73 if kept == SECRET else 0)
                    self.home.must("canary", "rm", name)
                    self.home.tare("env", "rm", f"n{number}")
        longest = self.folder / "longest"
        value = bytes(range(33, 127)) * 44
        longest.write_bytes(value[:4096] + b"\r\n")
        self.assert_status(self.add("long", None, "--from-file", longest), 0)
        self.home.must("session", "kill", session)

    def test_a_value_is_kept_for_tared_alone_and_said_nowhere(self):
        file = self.folder / "key"
        file.write_bytes(SECRET + b"\n")
        self.assert_status(self.add("of-file", None, "--from-file", file), 0)
        self.assert_status(self.add("of-stdin", SECRET), 0)
        self.home.down()
        self.home.up()
        self.assertEqual(self.names(), ["of-file", "of-stdin"])
        kept = self.home.path / "state/canaries/of-file"
        self.assertEqual((kept.stat().st_mode & 0o7777, kept.read_bytes()), (0o600, SECRET))
        for name in ("log", "state"):
            for path in (self.home.path / name).iterdir():
                if path.is_file():
                    self.assertNotIn(SECRET, path.read_bytes(), path)
        answer = self.home.request("GET", "/v1/canaries")
        self.assertNotIn(SECRET, answer.body)
        self.assertNotIn(base64.b64encode(SECRET), answer.body)

    def test_what_cannot_be_one_is_refused(self):
        for value in (b"short", b"x" * 5000, b"aaaaaaaaaaaaaaaaaaaaaaaaa"):
            refused = self.add("bad", value)
            self.assert_status(refused, 64)
            self.assertNotIn(value, refused.stderr)
        self.assert_status(self.add("../up", SECRET), 64)
        self.assert_status(self.home.tare("canary", "rm", "none"), 66)
        self.assertEqual(self.names(), [])


if __name__ == "__main__":
    unittest.main()
