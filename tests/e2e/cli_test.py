"""What a person does with `tare`: look at runs, follow, kill, fetch, and be told what is wrong."""

import json
import os
import re
import signal
import stat
import unittest

import harness


class Cli(harness.TareTest):
    def test_dry_run_prints_the_plan_and_makes_nothing(self):
        before = self.home.request("GET", "/v1/runs").json["runs"]
        folders = set(os.listdir(self.home.path / "runs"))
        for _ in range(2):
            result = self.home.host("true", options=["--dry-run", "--mem", "77M"])
            self.assert_status(result, 0)
            self.assertIn("memory.max = 80740352", result.stdout.decode())
            self.assertRegex(result.stdout.decode(), r"argument true")
        self.assertEqual(self.home.request("GET", "/v1/runs").json["runs"], before)
        self.assertEqual(set(os.listdir(self.home.path / "runs")), folders)

    def test_a_detached_run_is_listed_followed_inspected_and_killed(self):
        run = self.home.detached("sh", "-c", "echo begun; sleep 1000")
        self.assertRegex(run, r"^run_[0-9a-hjkmnp-tv-z]{26}$")
        with self.home.popen("logs", "-f", run) as follower:
            self.assertEqual(follower.stdout.readline(), b"begun\n")
            # Its start is recorded while it runs already. (A failure in here would wait for the
            # follower for ever.)
            listed = lambda: re.search(rf"(?m)^{run} .* running ",
                                       self.home.must("ps").stdout.decode())
            harness.wait_until(listed, "a run that is listed as running")
            self.assertEqual(self.home.inspect(run)["state"], "running")
            self.assertEqual(self.home.must("logs", run).stdout, b"begun\n")
            self.home.must("kill", run)
            _, err = follower.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(follower.returncode, 137)
        self.assertIn("killed on request", err.decode())
        shown = self.home.inspect(run)
        self.assertEqual((shown["state"], shown["outcome"]["reason"]), ("cancelled", "killed"))
        self.assertEqual([event["type"] for event in shown["events"]],
                         ["created", "launching", "started", "kill_requested", "ended"])
        self.assertNotIn(run, self.home.must("ps").stdout.decode())
        self.assertIn(run, self.home.must("ps", "-a").stdout.decode())
        self.assertEqual(self.home.tare("kill", run).returncode, 0)  # again: no harm

    def test_run_ids_sort_by_time(self):
        runs = [self.home.detached("true") for _ in range(5)]
        self.assertEqual(runs, sorted(runs))
        for run in runs:
            self.home.wait_ended(run)  # other tests look at what is active

    def test_usage_is_recorded(self):
        program = "x = bytearray(50 << 20)\nfor i in range(3_000_000): pass\nprint('y' * 999)"
        usage = self.home.inspect(self.run_and_wait("python3", "-c", program))["usage"]
        self.assertGreater(usage["memory_peak_bytes"], 50 << 20)
        self.assertGreater(usage["cpu_us"], 10_000)
        self.assertEqual((usage["stdout_bytes"], usage["stderr_bytes"]), (1000, 0))
        for name in ("start_us", "wall_us"):
            self.assertGreater(usage[name], 0, name)

    def run_and_wait(self, *command):
        run = self.home.detached(*command)
        self.home.wait_ended(run)
        return run

    def test_signals_to_the_client_kill_the_run(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.home.popen("run", "--env", "host", "--", "sh", "-c",
                                 "trap '' INT TERM HUP; echo up; sleep 1000") as client:
                self.assertEqual(client.stdout.readline(), b"up\n")
                client.send_signal(number)
                _, err = client.communicate(timeout=harness.TIMEOUT_S)
            self.assertEqual(client.returncode, 128 + number, err)
            self.assertEqual(self.home.request("GET", "/v1/runs?state=active").json["runs"], [])
            harness.wait_until(lambda: not self.home.programs(), "the end of the run")

    def test_out_gets_what_the_program_left_with_folders_modes_and_links(self):
        script = ("mkdir -p /output/a/b/c /output/empty; printf '\\377' >/output/a/b/c/bin; "
                  "echo x >/output/a/run; chmod 755 /output/a/run; ln -s b/c/bin /output/a/link; "
                  "echo s >'/output/a b'")
        out = self.folder / "out"
        self.assert_status(self.home.host("sh", "-c", script, options=["--out", out]), 0)
        self.assertEqual((out / "a/b/c/bin").read_bytes(), b"\377")
        self.assertEqual((out / "a/link").readlink().as_posix(), "b/c/bin")
        self.assertEqual(stat.S_IMODE((out / "a/run").stat().st_mode) & 0o700, 0o700)
        self.assertTrue((out / "empty").is_dir())
        self.assertEqual((out / "a b").read_text(), "s\n")

    def test_links_in_the_output_never_lead_out_of_the_folder(self):
        script = ("cd /output; ln -s /etc abs; ln -s ../../../../../../etc up; "
                  "ln -s /etc/passwd file; ln -s .. parent; mkfifo pipe; mkdir d; "
                  "ln -s ../../outside d/over; echo fine >ok; chmod u+s ok; exit 0")
        victim = self.folder / "outside"
        victim.write_text("untouched")
        out = self.folder / "out"
        result = self.home.host("sh", "-c", script, options=["--out", out])
        self.assertIn(result.returncode, (0, 125), result.stderr)
        self.assertEqual((out / "ok").read_text(), "fine\n")
        self.assertEqual((out / "ok").stat().st_mode & (stat.S_ISUID | stat.S_ISGID), 0)
        self.assertFalse(os.path.lexists(out / "pipe"))
        for path in out.rglob("*"):
            self.assertTrue(path.resolve().is_relative_to(out.resolve()), path)
        self.assertEqual(victim.read_text(), "untouched")

    def test_artifacts_can_be_fetched_later(self):
        run = self.run_and_wait("sh", "-c", "mkdir /output/d; echo later >/output/d/f")
        self.assertIn("d/f", self.home.must("artifacts", run).stdout.decode())
        self.home.must("artifacts", run, "--out", self.folder / "out")
        self.assertEqual((self.folder / "out/d/f").read_text(), "later\n")

    def test_a_wrong_command_line_is_64_and_one_line_that_names_it(self):
        for arguments, said in (
                (["bogus"], "bogus"), (["run"], "AGENT"), (["run", "--env", "host"], "command"),
                (["run", "--env", "host", "--colour", "--", "true"], "--colour"),
                (["run", "--env", "host", "--mem", "12 pounds", "--", "true"], "12 pounds"),
                (["run", "--env", "host", "--mem", "3", "--", "true"], "--mem: at least 8M"),
                (["env", "rm", "host"], "tare: `host`"),
                (["up", "--port", "99999"], "0 to 65535"),
                (["run", "--env", "host", "--timeout", "10", "--", "true"], "--timeout"),
                (["run", "--env", "host", "-e", "1", "--", "true"], "--env-var"),
                (["run", "--env", "host", "--user", "god", "--", "true"], "--user"),
                (["kill"], "ID"), (["inspect"], "ID"), (["logs", "a", "b"], "b")):
            result = self.home.tare(*arguments)
            self.assert_status(result, 64)
            self.assertIn(said, result.stderr.decode().splitlines()[0], arguments)
            self.assertEqual(result.stdout, b"")

    def test_a_run_is_no_session_and_is_ended_by_kill(self):
        run = self.run_and_wait("true")
        for verb in ("kill", "hibernate", "wake", "fork", "checkpoint"):
            refused = self.home.tare("session", verb, run)
            self.assert_status(refused, 66)
            self.assertRegex(refused.stderr, b"is a run, not a session.*`tare kill`")
            self.assertNotIn(b"/v1/", refused.stderr)

    def test_a_runner_that_is_not_there_names_those_that_come_with_tare(self):
        refused = self.home.tare("runner", "add", "no-such-runner")
        self.assert_status(refused, 66)
        self.assertIn(b"(node, python)", refused.stderr)

    def test_posture_does_not_tell_its_own_probes_as_refusals(self):
        posture = self.home.must("posture")
        self.assertEqual(posture.stderr, b"")

    def test_what_is_not_there_is_66(self):
        for arguments in (["inspect", "run_" + "0" * 26], ["logs", "run_" + "0" * 26],
                          ["kill", "run_" + "0" * 26], ["run", "no-such-agent"],
                          ["run", "--env", "no-such-env", "--", "true"],
                          ["env", "show", "no-such-env"]):
            result = self.home.tare(*arguments)
            self.assert_status(result, 66)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_up_again_is_no_harm_and_leaves_the_daemons_as_they_are(self):
        before = json.loads((self.home.path / "run/tared.json").read_text())
        self.home.up()
        self.assertEqual(json.loads((self.home.path / "run/tared.json").read_text()), before)

    def test_the_daemons_say_nothing_in_their_logs_but_json(self):
        self.home.must("run", "--env", "host", "--disk", "900M", "--", "true")  # runs mkfs
        for log in self.home.path.glob("log/*.log"):
            for line in log.read_text().splitlines():
                self.assertIn("message", json.loads(line), f"{log.name}: {line}")


class NoDaemon(harness.TareTest):
    starts_daemons = False

    def test_every_command_says_so_in_one_line_and_exits_with_69(self):
        run = "run_" + "0" * 26
        (self.folder / "agent.toml").write_text(
            'name = "a"\nenvironment = "host"\nentry = ["true"]\n')
        for arguments in (["run", "--env", "host", "--", "true"], ["run", "a"], ["ps"],
                          ["run", "--env", "host", "--dry-run", "--", "true"], ["logs", run],
                          ["logs", "-f", run], ["inspect", run], ["kill", run],
                          ["artifacts", run], ["agent", "apply", self.folder], ["agent", "list"],
                          ["agent", "show", "a"], ["env", "list"], ["env", "show", "a"],
                          ["env", "build", "debian:bookworm:python3"], ["down"]):
            result = self.home.tare(*arguments)
            self.assert_reason(result, 69, r"no daemon at .*tared\.sock")
            self.assertEqual(result.stdout, b"")

    def test_bench_needs_none_and_prints_its_rows(self):
        row = self.home.must("bench", "--only", "kill_reap", "--n", "2", "--json").stdout
        self.assertEqual(json.loads(row)["name"], "kill_reap")

    def test_bench_has_the_rows_that_its_help_names(self):
        rows = ("claim_launcher", "claim_api", "fresh", "cold", "burst100", "staggered", "exec")
        for name in rows:
            said = self.home.must("bench", "--only", name, "--n", "2", "--json").stdout
            found = [json.loads(line) for line in said.splitlines()]
            self.assertIn(name, [row["name"] for row in found])
            for row in found:
                self.assertEqual(row["failed"], 0, row)
                self.assertGreater(row["p50_us"], 0, row)

    def test_help_and_version_need_none(self):
        for arguments in (["help"], ["help", "run"], ["run", "--help"], ["version"]):
            result = self.home.must(*arguments)
            self.assertNotEqual(result.stdout, b"")
        self.assertFalse(any(self.home.path.iterdir()))


if __name__ == "__main__":
    unittest.main()
