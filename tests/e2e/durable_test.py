"""Durable sessions: nothing that was answered is lost, whatever dies at whatever moment.

What a power cut leaves is in power_cut_test.py.
"""

import concurrent.futures
import json
import os
import threading
import time
import unittest

import harness
import sessions
import swaps

MANY = bool(os.environ.get("TARE_MANY"))


class Durable(sessions.SessionsTest):
    def test_all_that_was_answered_is_there_when_the_launcher_dies_at_once(self):
        session = self.new("--durable", "--user", "root")
        files = f"/v1/runs/{session}/files"
        self.assertTrue(self.home.inspect(session)["request"]["durable"])

        def then(request, look, expected):
            self.assertLess(request().status, 300)
            self.lose_launcher(session)
            self.assertEqual(self.sh(session, look), expected)

        then(lambda: self.put(session, "/root/f", b"put\n"), "cat /root/f", "put\n")
        stat = lambda name: self.home.request("GET", f"{files}?path=/root/{name}")
        found = stat("f")
        self.assertEqual(found.status, 200, found.body)
        self.assertEqual({key: found.json[key] for key in ("name", "type", "size", "mode", "uid")},
                         {"name": "f", "type": "file", "size": 4, "mode": 0o644, "uid": 0})
        moving = {"from": "/root/f", "to": "/root/g"}
        then(lambda: self.home.request("POST", f"{files}/move", moving), "ls /root", "g\n")
        then(lambda: self.home.request("POST", f"{files}/mkdir?path=/root/d"), "ls /root", "d\ng\n")
        then(lambda: self.home.request("DELETE", f"{files}?path=/root/g"), "ls /root", "d\n")
        self.assertEqual((stat("d").json["type"], stat("g").status), ("directory", 404))
        self.sh(session, "echo exec >/root/e")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat /root/e"), "exec\n")
        self.kill(session)

    def test_a_new_one_in_which_nothing_was_done_yet_is_there_too(self):
        session = self.new("--durable")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "echo on"), "on\n")
        self.kill(session)

    def test_an_exec_that_was_lost_with_its_sandbox_has_not_ended_well(self):
        session = self.new("--durable")
        number = self.home.must("session", "exec", "-d", session, "--", "sh", "-c",
                                "echo begun >f; exec sleep 1000").stdout.decode().strip()
        self.put(session, "g", b"")
        self.lose_launcher(session)
        told = self.home.request("GET", f"/v1/runs/{session}/execs/{number}").json
        self.assertEqual((told["state"], told["outcome"]["reason"]), ("ended", "killed"))
        self.kill(session)

    def test_many_at_once_and_nights_forks_and_losses_among_them(self):
        session = self.new("--durable", "--user", "root")
        self.sh(session, "mkdir /root/d")
        stop, acknowledged, odd = threading.Event(), set(), []

        def write(worker):
            for number in range(1000):
                if stop.is_set():
                    return
                name = f"{worker}-{number}"
                answer = self.put(session, f"/root/d/{name}", name.encode())
                if answer.status == 200:
                    acknowledged.add(name)
                elif answer.status not in (409, 503):
                    odd.append(answer.body)

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            writers = [pool.submit(write, worker) for worker in range(6)]
            try:
                for round in range(6 if MANY else 2):
                    seen = len(acknowledged)
                    harness.wait_until(lambda: len(acknowledged) > seen + 20, "they write")
                    self.home.must("session", "fork", session)
                    self.home.must("session", "hibernate", session)
                    seen = len(acknowledged)
                    harness.wait_until(lambda: len(acknowledged) > seen + 20, "they write")
                    harness.sigkill(self.home.program_pid("tare-launcher"))
                    self.home.up()
            finally:
                stop.set()
            for one in writers:
                one.result()
        self.assertEqual(odd, [])
        harness.wait_until(lambda: self.state(session) in ("running", "hibernated"), "settled")
        self.lose_launcher() if self.state(session) == "running" else None
        found = set(self.sh(session, "ls /root/d").split())
        self.assertEqual(acknowledged - found, set())
        listed = json.loads(self.home.must("session", "list", "--json").stdout)["sessions"]
        self.kill(*[one["id"] for one in listed])

    def test_sweeps_come_in_between_those_that_write_all_the_time(self):
        store = self.home.path / "store/layers"
        all_before = set(os.listdir(store))
        busy = [self.new("--durable") for _ in range(3)]
        stop, written = threading.Event(), [0] * 6

        def write(worker):
            while not stop.is_set():
                body = f"{worker} {written[worker]}".encode()
                answer = self.put(busy[worker % 3], f"/tmp/{worker}", body)
                self.assertEqual(answer.status, 200, answer.body)
                written[worker] += 1

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            writers = [pool.submit(write, worker) for worker in range(6)]
            try:
                for least in range(10, 50, 10):
                    harness.wait_until(lambda: min(written) > least, "all write on")
                    self.home.must("env", "gc")
            finally:
                stop.set()
            for writer in writers:
                writer.result()

        def needed():
            own = [self.home.inspect(one)["checkpoint"]["own_layers"] for one in busy]
            return {digest.removeprefix("sha256:") for one in own
                    for digest in one["root"] + one["scratch"]}

        harness.wait_until(lambda: set(os.listdir(store)) - all_before == needed(),
                           "what others have taken the place of is gone")
        self.kill(*busy)

    def test_with_a_secret_in_its_files_the_answer_is_an_error_that_names_the_file(self):
        secret = b"sk-" + os.urandom(16).hex().encode()
        self.home.must("canary", "add", "key", data=secret)
        self.addCleanup(self.home.must, "canary", "rm", "key")
        session = self.new("--durable", "--user", "root")
        answer = self.put(session, "/root/leak", b"x" + secret)
        self.assertEqual(answer.status, 409)
        self.assertIn("root/leak", answer.json["error"]["message"])
        done = self.home.tare("session", "exec", session, "--", "true")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"root/leak", done.stderr)
        self.assertIn(b"exit status 0", done.stderr)
        self.assertNotIn(secret, done.stderr + answer.body)
        self.assertEqual(self.sh(session, "rm /root/leak; echo on"), "on\n")
        self.kill(session)

    def test_a_fork_of_one_is_one(self):
        session = self.new("--durable", "--user", "root")
        self.sh(session, "echo common >/root/f")
        fork, = self.fork(session, 1)
        self.sh(fork, "echo more >>/root/f")
        self.lose_launcher(session, fork)
        self.assertEqual(self.sh(fork, "cat /root/f").split(), ["common", "more"])
        self.assertEqual(self.sh(session, "cat /root/f").split(), ["common"])
        self.kill(session, fork)

    def test_killed_at_any_moment_nothing_that_was_answered_is_lost(self):
        """SIGKILL of tared, tare-store and tare-launcher, at moments all over a checkpoint; the
        last three right behind the answer, each of another program."""
        session = self.new("--durable", "--user", "root")
        whole_s = []
        for _ in range(4):
            began = time.monotonic()
            self.put(session, "/root/f", b"0")
            whole_s.append(time.monotonic() - began)
        rounds = 90 if MANY else 18
        programs = ("tared", "tare-store", "tare-launcher")
        answered = dict.fromkeys(programs, 0)
        for number in range(1, rounds + 1):
            name = programs[number % 3]
            pid = self.home.program_pid(name)
            before = self.get(session, "/root/f")
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(self.put, session, "/root/f", str(number).encode())
                if number > rounds - 3:
                    concurrent.futures.wait([asked])
                else:
                    time.sleep(max(whole_s) * 1.2 * number / rounds)
                harness.sigkill(pid)
                try:
                    acknowledged = asked.result().status == 200
                except OSError:
                    acknowledged = False
            self.home.up()
            harness.wait_until(lambda: self.state(session) in ("running", "hibernated"),
                               "awake or asleep")
            answered[name] += acknowledged
            if name != "tare-launcher":
                self.lose_launcher()  # what is left is what is on the disk
                harness.wait_until(lambda: self.state(session) == "hibernated", "it sleeps on")
            found = self.get(session, "/root/f")
            if acknowledged:
                self.assertEqual(found, str(number).encode(), name)
            self.assertIn(found, (before, str(number).encode()), name)
            self.put(session, "/root/f", found)
        print(f"answered before the kill: {answered} of {rounds}")
        for name in programs:  # of each: what was answered is there
            self.assertGreater(answered[name], 0, name)
        self.assertLess(sum(answered.values()), rounds)  # and some died in the midst of it
        self.home.must("env", "gc")
        self.home.must("env", "verify")
        self.kill(session)


class WithARunner(swaps.SwapTest):
    def test_a_durable_session_gets_another_runner_and_stays_durable(self):
        for version in ("1.0", "1.1"):
            self.add("r", version, {"main.sh": f"echo {version}\n"})
        session = self.session("r@1.0", "--durable")
        self.inside(session, "echo before >f")
        swapped = self.swap(session, "r@1.1")
        self.assertEqual(swapped.returncode, 0, swapped.stderr)
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh; echo after >>f"),
                         "1.1\n")
        harness.sigkill(self.home.program_pid("tare-launcher"))
        self.home.up()
        self.assertEqual(self.inside(session, "cat f; sh /opt/tare/runner/main.sh").split(),
                         ["before", "after", "1.1"])
        self.home.must("session", "kill", session)


if __name__ == "__main__":
    unittest.main()
