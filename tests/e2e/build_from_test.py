"""Environments built by commands in others, and forks of environments."""

import json
import time
import unittest

import harness
import layers


class BuildFrom(layers.EnvironmentsTest):
    BOX = layers.programs("sh", "cat", "rm", "mkdir", "sleep", "chmod", "ls", "id")
    ENVIRONMENTS = {"box": [{**BOX, "opt/old": b"old\n", "opt/kept": b"kept\n"}]}

    def build(self, name, script, *options, base="box"):
        return self.home.tare("env", "build", "--from", base, "--name", name, *options, "--",
                              "sh", "-c", script)

    def run_in(self, environment, script, *options):
        ran = self.home.must("run", "--env", environment, *options, "--", "sh", "-c", script)
        return ran.stdout.decode()

    def show(self, name):
        return json.loads(self.home.must("env", "show", name, "--json").stdout)

    def test_what_commands_change_is_a_layer_above_the_one_they_ran_in(self):
        built = self.build("app", "id -u; echo new >/opt/new; rm /opt/old; chmod 700 /opt/kept; "
                                  "mkdir /srv; echo t >/tmp/t; echo o >/output/o")
        self.assert_status(built, 0)
        self.assertIn(b"0\n", built.stderr)  # what it says is its progress; it is root inside
        app, box = self.show("app"), self.show("box")
        self.assertEqual(app["layers"][:-1], box["layers"])
        self.assertEqual(app["source"], "from:box")
        seen = self.run_in("app", "cat /opt/new; ls -d /opt/* /srv /tmp/* /output/* || true")
        self.assertEqual(seen, "new\n/opt/kept\n/opt/new\n/srv\n")
        self.assertEqual(self.run_in("box", "cat /opt/*"), "kept\nold\n")
        self.home.must("env", "verify", "app")
        # The same commands once more: the same bytes but for times, and a name that is taken.
        again = self.build("app", "true")
        self.assertIn(b"is there already, of from:box: choose another name, or replace it with "
                      b"--rebuild", again.stderr)
        rebuilt = self.build("app", "echo other >/opt/new", "--rebuild")
        self.assert_status(rebuilt, 0)
        self.assertEqual(self.run_in("app", "cat /opt/*"), "kept\nother\nold\n")

    def test_commands_that_change_nothing_leave_every_file_as_it_was(self):
        self.assert_status(self.build("ready", "true"), 0)  # it has /etc/passwd now
        time.sleep(1.1)  # times are kept as seconds
        self.assert_status(self.build("same", "true", base="ready"), 0)
        self.assertEqual(self.show("same")["digest"], self.show("ready")["digest"])
        session = self.home.must("session", "new", "--env", "ready").stdout.decode().strip()
        self.home.must("session", "exec", session, "--", "sh", "-c", "echo x >/tmp/x")
        self.home.must("env", "freeze", session, "--name", "frozen")
        self.home.must("session", "kill", session)
        self.assertNotEqual(self.show("frozen")["layers"], [])
        changes = json.loads(self.home.must("env", "diff", "ready", "frozen", "--json").stdout)
        # Its home belongs to whoever the sandbox is for: root in a build, agent here.
        self.assertLessEqual({one["path"] for one in changes["changes"]}, {"home/agent"})

    def test_commands_that_fail_make_nothing_and_their_status_is_ours(self):
        failed = self.build("failed", "echo this is why >&2; echo x >/opt/x; exit 3")
        self.assert_status(failed, 3)
        self.assertIn(b"this is why", failed.stderr)
        self.assertEqual(self.show("failed")["state"], "failed")
        used = self.home.tare("run", "--env", "failed", "--", "true").stderr
        self.assertIn(b"tare env build --from box --name failed -- COMMAND", used)
        self.assert_status(self.build("failed", "true"), 0)  # the name is free for another try

    def test_commands_have_no_network_unless_it_is_asked_for(self):
        seen = ("cat /proc/net/dev >/opt/dev; "
                "cat /etc/resolv.conf >/opt/resolv || echo none >/opt/resolv")
        self.assert_status(self.build("alone", seen), 0)
        self.assertEqual(self.run_in("alone", "cat /opt/resolv"), "none\n")
        self.assertEqual(self.run_in("alone", "cat /opt/dev").count(":"), 1)
        self.assert_status(self.build("online", seen, "--network"), 0)
        with open("/etc/resolv.conf", encoding="utf-8") as ours:
            self.assertEqual(self.run_in("online", "cat /opt/resolv"), ours.read())
        with open("/proc/net/dev", encoding="utf-8") as ours:
            self.assertEqual(self.run_in("online", "cat /opt/dev").count(":"),
                             ours.read().count(":"))
        gone = self.home.tare("run", "--env", "online", "--", "cat", "/etc/resolv.conf")
        self.assertNotEqual(gone.returncode, 0)  # it is not part of what was built

    def test_on_what_cannot_be_built_upon(self):
        for base, why in (("host", b"not frozen"), ("nothing", b"not there"),
                          ("../x", b"not an environment")):
            self.assertIn(why, self.build("x", "true", base=base).stderr)
        self.assertIn(b"a meaning of its own", self.build("host", "true").stderr)

    def test_a_build_outlives_tared(self):
        with self.home.popen("env", "build", "--from", "box", "--name", "slow", "--",
                             "sh", "-c", "sleep 2; echo late >/opt/late") as client:
            harness.wait_until(lambda: self.home.tare("env", "show", "slow").returncode == 0,
                               "the build is begun")
            harness.wait_until(
                lambda: self.home.inspect(self.show("slow")["build"])["state"] == "running",
                "the build runs")
            harness.sigkill(self.home.program_pid("tared"))
            self.home.up()
            client.communicate()
        harness.wait_until(lambda: self.show("slow")["state"] == "ready", "the build is done")
        self.assertEqual(self.run_in("slow", "cat /opt/late"), "late\n")

    def test_a_fork_is_the_same_until_something_is_built_upon_it(self):
        self.home.must("env", "fork", "box", "mine")
        self.assertEqual(self.show("mine")["digest"], self.show("box")["digest"])
        self.assertEqual(self.show("mine")["source"], "fork:box")
        self.assertIn(b"a name of it already", self.home.tare("env", "fork", "box", "box").stderr)
        self.assert_status(
            self.build("mine", "echo mine >/opt/mine", "--rebuild", base="mine"), 0)
        self.assertEqual(self.run_in("mine", "cat /opt/mine"), "mine\n")
        self.assertNotEqual(self.show("mine")["digest"], self.show("box")["digest"])
        self.assertIn(b"mine", self.home.must("env", "tree").stdout)


if __name__ == "__main__":
    unittest.main()
