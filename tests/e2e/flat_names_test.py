"""What is mounted for many layers is of their digest. Whatever becomes of the names that have it,
of tared and of what nobody needs: who stands on the digest sees its files, and no other digest
shows them."""

import json
import sqlite3
import unittest

import harness
from layers import EnvironmentsTest, faults_of, layer_folder, programs

TOOLS = programs("sh", "cat", "ls", "sleep", "sort", "true")
DEEP = [TOOLS] + [{f"srv/{i}": b"%d\n" % i} for i in range(1, 9)]
NUMBERS = "".join(f"{i}\n" for i in range(1, 9))
SEEN = "cat /srv/[0-9]* | sort -n; cat /srv/word"
MOST = 512
# More than can be mounted of one that has none of a higher one's.
TALL = [TOOLS] + [{f"srv/{i}": b"%d\n" % i} for i in range(1, MOST)]


class FlatTest(EnvironmentsTest):
    def show(self, name):
        return json.loads(self.home.must("env", "show", name, "--json").stdout)

    def flat(self, name):
        def made():
            shown = self.show(name)
            mounted = len(shown.get("flat", [])) + len(shown["layers"]) - shown.get("flat_depth", 0)
            return shown if mounted <= 8 else None
        return harness.wait_until(made, f"{name} to be flat")

    def build(self, name, word, *options, base="box"):
        self.home.must("env", "build", "--from", base, "--name", name, *options, "--", "sh", "-c",
                       f"echo {word} >/srv/word")
        return self.show(name)

    def session(self, environment):
        session = self.home.must("session", "new", "--env", environment, "--user", "root")
        return session.stdout.decode().strip()

    def inside(self, session, script=SEEN):
        return self.home.must("session", "exec", session, "--", "sh", "-c", script).stdout.decode()

    def run_in(self, environment, script=SEEN):
        ran = self.home.must("run", "--env", environment, "--", "sh", "-c", script)
        return ran.stdout.decode()

    def gc(self):
        return self.home.must("env", "gc").stdout.decode()

    def restart(self):
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()


class Names(FlatTest):
    # No other environment has the layers of `nine`, nor then its flat one.
    ENVIRONMENTS = {"box": DEEP, "short": DEEP[:2],
                    "nine": DEEP[:-1] + [{"srv/8": b"8\n", "etc/nine": b""}]}

    def apply(self, name, environment):
        folder = self.folder / name
        folder.mkdir()
        (folder / "agent.toml").write_text(
            f'name = "{name}"\nenvironment = "{environment}"\nentry = ["sh", "work.sh"]\n'
            'files = ["work.sh"]\n')
        (folder / "work.sh").write_text(SEEN + "\n")
        self.home.must("agent", "apply", folder)

    def test_who_stands_on_what_a_name_had_before_keeps_it(self):
        self.build("app", "old")
        old = self.flat("app")
        self.apply("reader", "app")
        awake, asleep = self.session("app"), self.session("app")
        self.inside(asleep, "echo mine >/srv/mine")
        self.home.must("session", "hibernate", asleep)
        seen = NUMBERS + "old\n"
        self.assertEqual(self.inside(awake), seen)
        rebuilt = self.build("app", "new", "--rebuild")
        self.assertNotEqual(rebuilt["digest"], old["digest"])
        for turn in ("swept", "restarted", "swept again"):
            with self.subTest(turn):
                if turn == "restarted":
                    self.restart()
                else:
                    self.gc()
                self.assertEqual(self.inside(awake), seen)
                self.assertEqual(self.inside(asleep, "cat /srv/mine; " + SEEN), "mine\n" + seen)
                self.home.must("session", "hibernate", asleep)
                self.assertEqual(self.home.must("run", "reader").stdout.decode(), seen)
                self.assertEqual(self.run_in("app"), NUMBERS + "new\n")
                self.assertEqual(faults_of(self, self.home), {})
        for session in (awake, asleep):
            self.home.must("session", "kill", session)
            self.home.wait_ended(session)
        self.gc()  # the agent's version alone has it now
        self.assertEqual(self.home.must("run", "reader").stdout.decode(), seen)

    def test_what_another_name_of_it_had_before_stays_mounted(self):
        below = self.flat("nine")
        session = self.session("nine")
        self.inside(session, "echo top >/srv/word")
        self.home.must("env", "freeze", session, "--name", "ten")
        self.home.must("session", "kill", session)
        self.home.wait_ended(session)
        session = self.session("ten")
        archive = self.folder / "ten.tar"
        self.home.must("env", "export", "ten", archive)
        self.home.must("env", "import", archive, "--name", "copy")
        self.assertEqual(self.show("copy")["digest"], self.show("ten")["digest"])
        self.assertEqual(self.flat("copy")["flat"], self.show("ten")["flat"])
        for name in ("nine", "ten"):
            self.home.must("env", "rm", name)
        self.assertNotIn(below["flat"][1], self.gc())
        self.assertEqual(self.inside(session), NUMBERS + "top\n")
        self.restart()
        self.gc()
        self.assertEqual(self.inside(session), NUMBERS + "top\n")
        self.assert_status(self.home.tare("env", "rm", "copy"), 73)  # in use
        self.home.must("session", "kill", session)

    def test_what_nobody_stands_on_goes_and_comes_again_with_its_name(self):
        self.build("gone", "gone")
        shown = self.flat("gone")
        archive = self.folder / "gone.tar"
        self.home.must("env", "export", "gone", archive)
        self.home.must("env", "rm", "gone")
        self.assertIn(shown["flat"][1], self.gc())
        self.assertFalse(layer_folder(self.home, shown["flat"][1]).exists())
        self.home.must("env", "import", archive, "--name", "gone")
        self.assertEqual(self.show("gone")["digest"], shown["digest"])
        self.assertEqual(self.run_in("gone"), NUMBERS + "gone\n")
        self.flat("gone")
        self.restart()
        self.gc()
        self.assertEqual(self.run_in("gone"), NUMBERS + "gone\n")
        self.assertEqual(faults_of(self, self.home), {})

    def rebuild_across_a_restart(self, name, word):
        before = self.show(name)
        with self.home.popen("env", "build", "--from", before["source"].removeprefix("from:"),
                             "--name", name, "--rebuild", "--", "sh", "-c",
                             f"sleep 2; echo {word} >/srv/word") as client:
            harness.wait_until(
                lambda: (build := self.show(name)["build"]) != before["build"] and
                self.home.inspect(build)["state"] == "running", "the build runs")
            self.restart()
            client.communicate()
        harness.wait_until(lambda: self.show(name)["digest"] != before["digest"], "the build ends")
        return self.show(name)

    def test_a_digest_shows_the_same_after_every_restart(self):
        self.build("word", "old")
        old = self.flat("word")
        session = self.session("word")
        new = self.rebuild_across_a_restart("word", "new")
        for turn in ("built", "restarted", "flat", "restarted again"):
            with self.subTest(turn):
                if turn == "flat":
                    self.assertNotEqual(self.flat("word")["flat"], old["flat"])
                elif turn != "built":
                    self.restart()
                self.gc()
                self.assertEqual(self.run_in("word"), NUMBERS + "new\n")
                self.assertEqual(self.inside(session), NUMBERS + "old\n")
                self.assertEqual(self.show("word")["digest"], new["digest"])
                self.home.must("env", "verify", "word")
        self.home.must("session", "kill", session)

    def test_a_build_on_fewer_layers_than_before_ends_across_a_restart(self):
        self.home.must("env", "tag", "box", "base")
        self.build("less", "old", base="base")
        self.flat("less")
        self.home.must("env", "rm", "base")
        self.home.must("env", "tag", "short", "base")
        new = self.rebuild_across_a_restart("less", "new")
        self.assertEqual(len(new["layers"]), 3)
        self.assertNotIn("flat", new)
        self.assertEqual(self.home.inspect(new["build"])["state"], "succeeded")
        self.gc()
        self.assertEqual(self.run_in("less", "cat /srv/*"), "1\nnew\n")

    def test_flat_layers_that_show_something_else_are_found(self):
        self.build("right", "right")
        self.flat("right")
        wrong = self.build("wrong", "wrong")
        right, wrong = self.show("right"), self.flat("wrong")
        self.home.must("env", "verify", "wrong")
        self.home.down()
        database = sqlite3.connect(self.home.path / "state/tare.db")
        with database:
            database.execute(
                "UPDATE flat_layers SET layers = replace(layers, ?, ?) WHERE digest = ?",
                (wrong["flat"][1], right["flat"][1], wrong["digest"]))
        database.close()
        self.home.up()
        self.addCleanup(self.home.must, "env", "rm", "wrong")
        self.assertEqual(self.run_in("wrong"), NUMBERS + "right\n")  # what it is about
        told = self.home.tare("env", "verify", "wrong")
        self.assert_status(told, 70)
        self.assertIn(b"do not show the same", told.stdout)
        (verdict,) = faults_of(self, self.home).values()
        self.assertEqual((verdict["kind"], verdict["digest"], verdict["needed_by"]),
                         ("environment", wrong["digest"], ["environment wrong"]))


class Tall(FlatTest):
    ENVIRONMENTS = {"tall": TALL}

    def test_a_build_whose_environment_is_refused_ends_and_holds_nothing_up(self):
        shown = self.flat("tall")
        self.assertEqual(len(shown["layers"]), MOST)
        built = self.home.tare("env", "build", "--from", "tall", "--name", "taller", "--", "sh",
                               "-c", "echo x >/srv/word")
        self.assert_status(built, 125)
        self.assertIn(b"its result could not be recorded", built.stderr)
        run = self.home.inspect(self.show("taller")["build"])
        self.assertEqual((run["state"], run["outcome"]["reason"]), ("failed", "daemon_error"))
        ended = self.home.request("GET", f"/v1/runs/{run['id']}/events").json["events"]
        self.assertEqual([one["type"] for one in ended].count("ended"), 1)
        self.assertEqual(self.show("taller")["state"], "failed")
        self.gc()
        self.home.must("env", "verify", "tall")


if __name__ == "__main__":
    unittest.main()
