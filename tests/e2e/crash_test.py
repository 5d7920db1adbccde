"""SIGKILL of each program: nothing acknowledged is lost, nothing is left behind."""

import hashlib
import os
import random
import signal
import subprocess
import threading
import time
import unittest
import uuid

import harness

# Says a line every 20 ms for a while, then ends with a status of its own.
TALK = ("for i in $(seq 1 {lines}); do echo out $i; echo err $i >&2; sleep 0.02; done; exit 42")


def talked(lines, word):
    return "".join(f"{word} {i}\n" for i in range(1, lines + 1)).encode()


class Tared(harness.TareTest):
    def kill_tared(self):
        harness.sigkill(self.home.program_pid("tared"))

    def test_a_run_goes_on_and_its_output_and_status_are_complete(self):
        run = self.home.detached("sh", "-c", TALK.format(lines=200))
        harness.wait_until(lambda: b"out 3\n" in self.home.must("logs", run).stdout, "output")
        inside = set(self.home.sandboxed())
        self.kill_tared()
        self.assertEqual(self.home.tare("inspect", run).returncode, 69)
        self.assertTrue(inside & set(self.home.sandboxed()), "the sandbox went with tared")
        self.home.up()
        logs = self.home.tare("logs", "-f", run)
        self.assertEqual(logs.returncode, 42, logs.stderr)
        self.assertEqual(logs.stdout, talked(200, "out"))
        self.assertEqual(logs.stderr, talked(200, "err"))
        types = [event["type"] for event in self.home.inspect(run)["events"]]
        self.assertEqual(types, ["created", "launching", "started", "reattached", "ended"])

    def test_a_run_that_ends_while_tared_is_dead_is_complete_too(self):
        run = self.home.detached("sh", "-c", "echo up; sleep 1; echo out; echo err >&2; exit 5")
        harness.wait_until(lambda: self.home.must("logs", run).stdout, "output")
        self.kill_tared()
        harness.wait_until(lambda: not any(b"sleep" in cmdline or b"echo" in cmdline
                                           for cmdline in self.commands_inside()), "its end")
        self.home.up()
        logs = self.home.tare("logs", "-f", run)
        self.assertEqual((logs.returncode, logs.stdout, logs.stderr),
                         (5, b"up\nout\n", b"err\n"))

    def commands_inside(self):
        return [harness.read_text(f"/proc/{pid}/cmdline").encode()
                for pid in self.home.sandboxed()]

    def test_the_client_of_a_run_reconnects_and_misses_nothing(self):
        with self.home.popen("run", "--env", "host", "--", "sh", "-c",
                             TALK.format(lines=150)) as client:
            first = client.stdout.readline()
            self.kill_tared()
            self.home.up()
            out, err = client.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(client.returncode, 42, err)
        self.assertEqual(first + out, talked(150, "out"))
        said = b"".join(line for line in err.splitlines(True) if not line.startswith(b"tare: "))
        self.assertEqual(said, talked(150, "err"))

    def test_a_client_of_a_run_beyond_the_kept_log_misses_no_byte(self):
        blocks = 160  # MiB; 64 are kept, the rest waits for the client
        program = ("import sys\nfor i in range(%d):\n"
                   "  sys.stdout.buffer.write(bytes([i]) * (1 << 20))" % blocks)
        digest, count = hashlib.sha256(), 0
        with self.home.popen("run", "--env", "host", "--", "python3", "-c", program) as client:
            for until in (80, 110, 140, blocks + 1):
                while count < until << 20 and (data := client.stdout.read1(1 << 16)):
                    digest.update(data)
                    count += len(data)
                if until < blocks:
                    self.kill_tared()
                    self.home.up()
            err = client.stderr.read()
            self.assertEqual(client.wait(harness.TIMEOUT_S), 0, err)
        self.assertNotIn(b"not kept", err)
        expected = hashlib.sha256()
        for i in range(blocks):
            expected.update(bytes([i]) * (1 << 20))
        self.assertEqual((count, digest.hexdigest()), (blocks << 20, expected.hexdigest()))

    def test_a_kill_that_was_acknowledged_happens(self):
        run = self.home.detached("sleep", "1000")
        harness.wait_until(lambda: self.home.inspect(run)["state"] == "running", "its start")
        self.assertEqual(self.home.request("POST", f"/v1/runs/{run}/kill").status, 202)
        self.kill_tared()
        self.home.up()
        self.assertEqual(self.home.wait_ended(run)["outcome"]["reason"], "killed")

    def test_killed_at_random_moments_every_acknowledged_run_ends_exactly_once(self):
        moments = random.Random(20)
        acknowledged = {}
        for i in range(10):
            key = f"{i}-{uuid.uuid4()}"
            timer = threading.Timer(moments.uniform(0, 0.25), self.kill_tared)
            timer.start()
            run = self.ask_until_acknowledged(key, timer)
            acknowledged[key] = run
        runs = self.home.request("GET", "/v1/runs?limit=1000").json["runs"]
        for key, run in acknowledged.items():
            with self.subTest(run=run):
                self.assert_one_true_end(self.home.wait_ended(run))
                same = [r for r in runs if r["request"]["idempotency_key"] == key]
                self.assertEqual(len(same), 1)

    def test_a_launch_that_was_never_sent_is_sent_by_the_next_tared_and_no_other_twice(self):
        launcher = self.home.program_pid("tare-launcher")
        os.kill(launcher, signal.SIGSTOP)  # its socket fills up: later launches stay with tared
        self.addCleanup(os.kill, launcher, signal.SIGCONT)
        wish = {"environment": "host", "argv": ["sh", "-c", "echo out; echo err >&2; exit 7"]}
        runs = [self.home.request("POST", "/v1/runs", wish).json["id"] for _ in range(256)]
        killed = runs[-1]
        self.assertEqual(self.home.request("POST", f"/v1/runs/{killed}/kill").status, 202)
        self.kill_tared()
        with self.home.popen("up", "--detach", "--port", "0") as up:
            harness.wait_until(lambda: self.home.tare("ps").returncode == 0, "the next tared")
            os.kill(launcher, signal.SIGCONT)
            _, err = up.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(up.returncode, 0, err)
        again = 0
        for run in runs[:-1]:
            shown = self.home.wait_ended(run)
            self.assert_one_true_end(shown)
            again += any("before the launch" in event["message"] for event in shown["events"])
        self.assertGreater(again, 0, "every launch had been sent: nothing was tested")
        self.assertLess(again, len(runs), "no launch had been sent")
        self.assertEqual(self.home.wait_ended(killed)["outcome"]["reason"], "killed")
        self.assertEqual(self.starts_of(killed), 0)

    def ask_until_acknowledged(self, key, timer):
        """Posts the same run until it is acknowledged and the kill has been; brings tared up."""
        wish = {"environment": "host", "idempotency_key": key,
                "argv": ["sh", "-c", "echo out; echo err >&2; sleep 0.1; exit 7"]}
        run = None
        while run is None or timer.is_alive():
            try:
                answer = self.home.request("POST", "/v1/runs", wish)
                if answer.status in (200, 202):
                    run = answer.json["id"]
            except (OSError, harness.http.client.HTTPException):
                pass  # it was killed in the midst of it
            if not timer.is_alive():
                timer.join()
                self.home.up()
            time.sleep(0.005)
        timer.join()
        self.home.up()
        return run

    def test_an_exec_is_not_called_ended_before_the_launcher_was_asked(self):
        session = self.home.must("session", "new", "--env", "host").stdout.decode().strip()
        with self.home.popen("session", "exec", session, "--", "sh", "-c",
                             "echo 1; sleep 2; echo 2; exit 3") as process:
            self.assertEqual(process.stdout.readline(), b"1\n")
            tared, launcher = map(self.home.program_pid, ("tared", "tare-launcher"))
            os.kill(launcher, signal.SIGSTOP)
            harness.sigkill(tared)
            with self.home.popen("up", "--detach", "--port", "0") as up:
                try:
                    asked = harness.wait_until(lambda: self.asked(session), "tared to answer")
                    time.sleep(1)  # the client of the exec asks, too
                finally:
                    os.kill(launcher, signal.SIGCONT)
                self.assertEqual(up.wait(harness.TIMEOUT_S), 0)
            out, err = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual([answer.status for answer in asked], [503] * 3, asked)
        self.assertEqual((out, process.returncode), (b"2\n", 3), err)

    def asked(self, session):
        execs = f"/v1/runs/{session}/execs"
        try:
            return [self.home.request("GET", execs + path) for path in ("", "/1", "/1/logs")]
        except OSError:
            return None


class Launcher(harness.TareTest):
    def test_its_sandboxes_die_at_once_and_the_runs_fail_with_the_reason(self):
        script = "(setsid sleep 1000 &); echo up; sleep 1000"
        runs = [self.home.detached("sh", "-c", script),
                self.home.detached("sh", "-c", script, options=["--disk", "900M"])]
        for run in runs:
            harness.wait_until(lambda: self.home.must("logs", run).stdout == b"up\n", "its start")
        harness.sigkill(self.home.program_pid("tare-launcher"))
        harness.wait_until(lambda: not self.home.sandboxed(), "the end of all inside")
        self.home.up()
        for run in runs:
            shown = self.home.wait_ended(run)
            self.assertEqual((shown["state"], shown["outcome"]["reason"]),
                             ("failed", "launcher_lost"))
            self.assertIn("tare-launcher", shown["outcome"]["message"])
            self.assertEqual(self.home.must("logs", run).stdout, b"up\n")
        self.assert_no_trace_of_sandboxes()
        self.assertEqual(self.home.host("echo", "again").stdout, b"again\n")

    def assert_no_trace_of_sandboxes(self):
        """Daemons apart, nothing: no cgroup of a run, no mount, no loop device."""
        def traces():
            daemons = {self.home.program_pid(name)
                       for name in ("tared", "tare-launcher", "tare-store")}
            # The new launcher's makers are its children.
            ours = {pid for pid in self.home.processes()
                    if pid in daemons or int(harness.status_of(pid).get("PPid", 0)) in daemons}
            return [leak for leak in self.home.leaks()
                    if not leak.startswith("cgroup")
                    and not any(leak.startswith(f"process {pid}:") for pid in ours)]
        harness.wait_until(lambda: not traces(), "the end of mounts and loop devices")
        for folder in self.home.cgroups():
            self.assertEqual([d.name for d in folder.iterdir() if d.is_dir()], [])


class Store(harness.TareTest):
    def test_after_its_death_runs_with_output_work_again(self):
        harness.sigkill(self.home.program_pid("tare-store"))
        self.home.up()
        out = self.folder / "out"
        script = "cat /input/a; mkdir /output/d; echo kept >/output/d/f"
        (self.folder / "a").write_text("given\n")
        result = self.home.host("sh", "-c", script,
                                options=["--input", self.folder / "a", "--out", out])
        self.assertEqual((result.returncode, result.stdout), (0, b"given\n"), result.stderr)
        self.assertEqual((out / "d/f").read_text(), "kept\n")

    def test_a_run_in_the_midst_of_it_is_not_harmed(self):
        with self.home.popen("run", "-i", "--env", "host", "--",
                             "sh", "-c", "echo up; read x; exit 3",
                             stdin=subprocess.PIPE) as client:
            self.assertEqual(client.stdout.readline(), b"up\n")
            harness.sigkill(self.home.program_pid("tare-store"))
            self.home.up()
            _, err = client.communicate(b"go\n", harness.TIMEOUT_S)
        self.assertEqual(client.returncode, 3, err)


if __name__ == "__main__":
    unittest.main()
