"""A small real `debian:` environment: built over the network, and an agent that works in it.

Needs Debian's archive, as `tare env build` does. Where it cannot be reached this fails and says so:
without it nothing has shown that an environment can be built.
"""

import json
import tempfile
import unittest
import urllib.request

import harness

# `hello` and what the smallest Debian has: about 60 packages, some 80 MB unpacked.
SOURCE = "debian:bookworm:hello"
RELEASE = "http://deb.debian.org/debian/dists/bookworm/Release"

# $1: a file of the host's /usr. Says what it found; leaves what a second run must not find.
PROGRAM = """#!/bin/sh
set -eu
find / -mindepth 1 -xdev \\( -path /home/agent -o -path /input -o -path /output -o -path /tmp \\
  -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /etc/hostname \\
  -o -path /etc/hosts -o -path /etc/machine-id \\) -prune \\
  -o -type d -printf '%p d %m %U %G\\n' -o -printf '%p %y %m %U %G %s %T@ %l\\n' | sort >/tmp/tree
mkdir -p /output/found
cp /tmp/tree /output/found/tree
sha256sum </usr/bin/hello >/output/found/hello
{ echo "user=$(id -u)"; echo "hello=$(hello)"; echo "dpkg=$(dpkg --version | head -n 1)"
  echo "suite=$(. /etc/os-release; echo "$VERSION_CODENAME")"
  echo "package=$(dpkg-query -W -f '${Version}' hello)"
  echo "sum=$(awk '{ sum += $1 } END { print sum }' /input/numbers.txt)"
  for path in "$1" /root/.profile-of-the-host /usr/bin/mmdebstrap /var/lib/tare /work; do
    if [ -e "$path" ]; then echo "visible=$path"; fi
  done
} >/output/answer
if [ "$(id -u)" = 0 ]; then
  echo changed >/etc/issue; rm /usr/bin/hello; mkdir /usr/left-behind
fi
"""

MANIFEST = """
name = "{name}"
environment = "{environment}"
user = "{user}"
entry = ["sh", "work.sh"]
files = ["work.sh"]
limits = {{ memory = "128M", time = "60s" }}
"""


def require_archive():
    """A plain answer for a machine that has no way to Debian's archive."""
    try:
        with urllib.request.urlopen(RELEASE, timeout=30) as answer:
            answer.read(1)
    except OSError as error:
        raise AssertionError(f"Debian's archive cannot be reached from here ({RELEASE}: {error}): "
                             "no environment can be built, so this cannot be tested") from error


class DebianEnvironment(harness.TareTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_archive()
        cls.built = cls.home.must("env", "build", SOURCE, "--name", "small")

    def apply(self, name, user):
        folder = self.folder / name
        folder.mkdir()
        (folder / "agent.toml").write_text(
            MANIFEST.format(name=name, environment="small", user=user))
        (folder / "work.sh").write_text(PROGRAM)
        self.home.must("agent", "apply", folder)

    def run_agent(self, name, number):
        """What the agent answered as {key: [values]}, and the folder it left."""
        numbers = self.folder / "numbers.txt"
        numbers.write_text("20\n22\n")
        with tempfile.NamedTemporaryFile(dir="/usr/share", prefix="te-of-the-host-") as mark:
            out = self.folder / f"out-{name}-{number}"
            self.home.must("run", name, "--input", numbers, "--out", out, "--", mark.name)
        answer = {}
        for line in (out / "answer").read_text().splitlines():
            key, _, value = line.partition("=")
            answer.setdefault(key, []).append(value)
        return answer, out / "found"

    def test_the_build_says_what_it_does_and_what_it_made(self):
        progress = self.built.stderr.decode()
        for line in ("I: running apt-get update...", "I: extracting archives...",
                     "I: the image is packed"):
            self.assertIn(line, progress)
        self.assertRegex(self.built.stdout.decode(),
                         r"^small is ready: sha256:[0-9a-f]{64}, \d+\.\d+M, \d+ files\n$")

    def test_list_and_show_tell_of_it_and_a_second_build_does_nothing(self):
        shown = json.loads(self.home.must("env", "show", "small", "--json").stdout)
        self.assertEqual((shown["state"], shown["source"]), ("ready", SOURCE))
        self.assertIn(shown["digest"], self.built.stdout.decode())
        self.assertRegex(self.home.must("env", "list").stdout.decode(),
                         rf"(?m)^small +ready +\d+\.\d+M +{shown['digest'][:19]} +{SOURCE}$")
        again = self.home.must("env", "build", SOURCE, "--name", "small")
        self.assertEqual((again.stdout, again.stderr), (self.built.stdout, b""))

    def test_what_was_built_is_intact_and_differs_in_nothing_from_itself(self):
        self.assertRegex(self.home.must("env", "verify", "small").stdout.decode(),
                         r"^small: intact \(\d+ files, \d+\.\d+M\)\n$")
        self.assertEqual(self.home.must("env", "diff", "small", SOURCE).stdout,
                         b"no difference\n")
        swept = json.loads(self.home.must("env", "gc", "--json").stdout)
        self.assertEqual(swept["removed"], [])

    def test_an_unknown_package_is_named_with_apts_own_error(self):
        result = self.home.tare("env", "build", "debian:bookworm:no-such-package")
        self.assertNotEqual(result.returncode, 0)
        last = result.stderr.decode().splitlines()[-1]
        self.assertRegex(last, r"^tare: run_[0-9a-z]{26}: the build failed: "
                               r"E: Unable to locate package no-such-package$")
        run = self.home.inspect(last.split()[1].rstrip(":"))
        self.assertEqual(run["outcome"]["reason"], "exited")
        listed = self.home.must("env", "list").stdout.decode()
        self.assertRegex(listed, r"(?m)^debian:bookworm:no-such-package +failed ")

    def test_an_agent_works_from_it_with_input_and_output_and_sees_nothing_of_the_host(self):
        self.apply("plain", "agent")
        answer, _ = self.run_agent("plain", 1)
        version = answer.pop("package")[0]
        self.assertRegex(version, r"^\d+\.\d+")
        self.assertRegex(answer.pop("dpkg")[0], "Debian 'dpkg' package management program")
        self.assertEqual(answer, {"user": ["1000"], "hello": ["Hello, world!"],
                                  "suite": ["bookworm"], "sum": ["42"]})

    def test_a_second_run_sees_the_same_tree_whatever_the_first_did_to_it(self):
        self.apply("rooted", "root")
        first, found = self.run_agent("rooted", 1)
        second, found_again = self.run_agent("rooted", 2)
        self.assertEqual(first, second)
        tree = (found / "tree").read_text()
        self.assertRegex(tree, r"(?m)^/usr/bin/hello f 755 0 0 ")
        self.assertEqual(tree, (found_again / "tree").read_text())
        self.assertEqual((found / "hello").read_text(), (found_again / "hello").read_text())

    # ---- freezing what a session has changed

    def session(self, *options):
        return self.home.must("session", "new", *options).stdout.decode().strip()

    def inside(self, session, script):
        return self.home.must("session", "exec", session, "--", "sh", "-ec", script).stdout.decode()

    def run_in(self, environment, script):
        return self.home.must("run", "--env", environment, "--user", "root", "--",
                              "sh", "-ec", script).stdout.decode()

    def show(self, environment):
        return json.loads(self.home.must("env", "show", environment, "--json").stdout)

    def test_what_a_session_changed_is_an_environment_and_the_session_goes_on(self):
        session = self.session("--env", "small", "--user", "root")
        digest = self.inside(session, """
            echo changed >/etc/issue; rm /usr/bin/hello
            rm -r /usr/share/doc; mkdir /usr/share/doc; echo new >/usr/share/doc/one
            mkdir /srv/data; head -c 300000 /dev/urandom >/srv/data/blob; chmod 1770 /srv/data
            ln /srv/data/blob /srv/data/again; ln -s blob /srv/data/link
            echo x >/tmp/gone; sha256sum </srv/data/blob""")
        out = self.home.must("env", "freeze", session, "--name", "changed").stdout.decode()
        self.assertRegex(out, r"^changed is ready: sha256:[0-9a-f]{64}, ")
        self.assertEqual(self.inside(session, "cat /tmp/gone /etc/issue"), "x\nchanged\n")
        seen = self.run_in("changed", """
            cat /etc/issue; ls /usr/bin/hello 2>&1 || true; ls /usr/share/doc
            stat -c '%a %h %N' /srv/data /srv/data/blob /srv/data/link; ls /tmp
            sha256sum </srv/data/blob""")
        self.assertEqual(seen, "changed\n"
                         "ls: cannot access '/usr/bin/hello': No such file or directory\none\n"
                         "1770 2 '/srv/data'\n644 2 '/srv/data/blob'\n"
                         "777 1 '/srv/data/link' -> 'blob'\n" + digest)
        small, changed = self.show("small"), self.show("changed")
        self.assertEqual(changed["layers"][0], small["digest"])
        self.assertEqual(len(changed["layers"]), 2)
        # Nothing has changed since: the same bytes again, under another name.
        self.home.must("env", "freeze", session, "--name", "same")
        self.assertEqual(self.show("same")["digest"], changed["digest"])
        self.home.must("session", "kill", session)

    def test_layers_upon_layers_and_an_agent_that_works_in_them(self):
        first = self.session("--env", "small", "--user", "root")
        self.inside(first, "echo 1 >/srv/one; echo 1 >/srv/both")
        self.home.must("env", "freeze", first, "--name", "first")
        second = self.session("--env", "first", "--user", "root")
        self.inside(second, "cat /srv/one; rm /srv/one; echo 2 >/srv/both")
        self.home.must("env", "freeze", second, "--name", "second")
        self.assertEqual(len(self.show("second")["layers"]), 3)
        self.assertEqual(self.run_in("second", "ls /srv; cat /srv/both; hello"),
                         "both\n2\nHello, world!\n")
        folder = self.folder / "layered"
        folder.mkdir()
        (folder / "agent.toml").write_text(
            MANIFEST.format(name="layered", environment="second", user="agent"))
        (folder / "work.sh").write_text("cat /srv/both\n")
        self.home.must("agent", "apply", folder)
        self.assertEqual(self.home.must("run", "layered").stdout, b"2\n")
        # The agent needs all of the layers, whatever names are left.
        self.home.must("session", "kill", first, second)
        for session in (first, second):
            self.home.wait_ended(session)
        self.home.must("env", "rm", "first")
        refused = self.home.tare("env", "rm", "second")
        self.assertIn("layered", refused.stderr.decode())
        self.home.must("env", "gc")
        self.assertEqual(self.home.must("run", "layered").stdout, b"2\n")
        self.home.must("env", "verify", "second")

    def test_what_cannot_be_frozen_is_said(self):
        host = self.session()
        result = self.home.tare("env", "freeze", host, "--name", "x")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("stands on `host`, which is not frozen", result.stderr.decode())
        session = self.session("--env", "small")
        taken = self.home.tare("env", "freeze", session, "--name", "small")
        self.assertIn("is there already", taken.stderr.decode())
        source = self.home.tare("env", "freeze", session, "--name", "debian:bookworm")
        self.assertIn("is not a name", source.stderr.decode())
        self.home.must("session", "kill", session, host)
        ended = self.home.tare("env", "freeze", session, "--name", "late")
        self.assertIn("is not running", ended.stderr.decode())
        self.assertNotEqual(self.home.tare("env", "show", "late").returncode, 0)


if __name__ == "__main__":
    unittest.main()
