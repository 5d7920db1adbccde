"""Sessions that are come back to: hibernate, wake, fork, idle timeouts, what a crash leaves."""

import concurrent.futures
import json
import os
import signal
import time
import unittest

import harness
import layers
import sessions

UNCHANGING = "cat /etc/machine-id; hostname; cat /proc/sys/kernel/random/uuid"


class Hibernate(sessions.SessionsTest):
    def test_what_it_has_changed_is_there_again_and_nothing_runs_meanwhile(self):
        session = self.new("--user", "root")
        self.sh(session, """
            echo mine >/home/agent/note; chmod 640 /home/agent/note; ln -s note /home/agent/link
            mkdir -p /opt/deep/er; echo x >/opt/deep/er/f; mkfifo /home/agent/fifo
            echo t >/tmp/t; echo o >/output/o
            setsid -f sleep 1000 >/dev/null 2>&1; until pgrep sleep; do :; done""")
        harness.wait_until(lambda: len(self.home.programs()) == 1, "the sleep alone runs")
        self.hibernate(session)
        self.assertEqual(self.home.programs(), [])
        found = self.sh(session, """
            cat /home/agent/link /opt/deep/er/f /tmp/t /output/o; stat -c %a /home/agent/note
            test ! -e /home/agent/fifo || echo fifo""")
        self.assertEqual(found.split(), ["mine", "x", "t", "o", "640"])
        harness.wait_until(lambda: not self.home.programs(), "nothing of before runs again")
        self.assertEqual(self.state(session), "running")
        self.assertEqual([one for one in self.events(session) if one != "denied"],
                         ["created", "launching", "started", "hibernated", "slept", "launching",
                          "started"])
        self.kill(session)
        self.assertEqual(self.home.must("artifacts", session).stdout.decode().split()[-1], "o")

    def test_what_was_removed_stays_removed_over_many_nights(self):
        session = self.new("--user", "root")
        for night in range(3):
            self.sh(session, f"""
                echo {night} >>/root/nights; mkdir -p /srv/d; touch /srv/d/{night}
                rm -f /srv/d/{night - 1}; rm -rf /srv/e; mkdir /srv/e; touch /srv/e/{night}""")
            self.hibernate(session)
        self.assertEqual(self.sh(session, "cat /root/nights; ls /srv/d /srv/e").split(),
                         ["0", "1", "2", "/srv/d:", "2", "/srv/e:", "2"])
        self.kill(session)

    def test_each_waking_is_another_machine(self):
        session = self.new()
        seen = [self.sh(session, UNCHANGING).split()]
        for _ in range(2):
            self.hibernate(session)
            seen.append(self.sh(session, UNCHANGING).split())
        for column in zip(*seen):
            self.assertEqual(len(set(column)), 3, column)
        self.kill(session)

    def test_an_exec_that_runs_is_told_why_it_ended(self):
        session = self.new()
        started = self.home.must("session", "exec", "-d", session, "--", "sleep", "1000")
        number = started.stdout.decode().strip()
        self.hibernate(session)
        execs = json.loads(self.home.must("session", "execs", "--json", session).stdout)["execs"]
        self.assertEqual([str(one["number"]) for one in execs], [number])
        self.assertIn("hibernates", execs[0]["outcome"]["message"])
        self.kill(session)

    def test_file_operations_wake_it_and_many_execs_at_once_make_one_sandbox(self):
        session = self.new()
        self.home.must("session", "cp", "-", f"{session}:a", data=b"1")
        self.hibernate(session)
        self.assertEqual(self.home.must("session", "cp", f"{session}:a", "-").stdout, b"1")
        self.hibernate(session)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda n: self.sh(session, f"echo {n}"), range(12)))
        self.assertEqual(answers, [f"{n}\n" for n in range(12)])
        self.assertEqual(self.home.inspect(session)["attempt"], 3)
        self.kill(session)

    def test_usage_is_that_of_all_its_sandboxes(self):
        session = self.new()
        self.sh(session, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
        self.hibernate(session)
        first = self.home.inspect(session)["usage"]
        self.assertGreater(first["cpu_us"], 1000)
        self.sh(session, "true")
        self.kill(session)
        total = self.home.inspect(session)["usage"]
        self.assertGreater(total["cpu_us"], first["cpu_us"])
        self.assertGreater(total["wall_us"], first["wall_us"])

    def test_one_that_sleeps_can_be_killed_and_then_does_not_wake(self):
        session = self.new()
        self.sh(session, "echo kept >/output/o")
        self.hibernate(session)
        self.kill(session)
        self.assertEqual(self.home.inspect(session)["outcome"]["reason"], "killed")
        refused = self.home.tare("session", "exec", session, "--", "true")
        self.assertIn(b"has ended", refused.stderr)

    def test_a_run_does_not_hibernate(self):
        run = self.home.detached("sleep", "1000")
        answer = self.home.request("POST", f"/v1/sessions/{run}/hibernate")
        self.assertEqual(answer.status, 404)
        self.home.must("kill", run)
        self.home.wait_ended(run)

    def test_one_that_is_idle_goes_to_sleep_and_one_that_works_does_not(self):
        idle = self.new("--idle", "1s")
        self.sh(idle, "echo 1 >/tmp/x")
        harness.wait_until(lambda: self.state(idle) == "hibernated", "it sleeps")
        self.assertEqual(self.sh(idle, "cat /tmp/x; sleep 2.5; echo done").split(), ["1", "done"])
        harness.wait_until(lambda: self.state(idle) == "hibernated", "it sleeps again")
        self.kill(idle)

    def test_one_that_is_idle_may_end_instead(self):
        idle = self.new("--idle", "1s", "--on-idle", "kill")
        ended = self.home.wait_ended(idle)
        self.assertEqual([one["message"] for one in ended["events"]
                          if one["type"] == "kill_requested"], ["idle for 1 s"])
        self.assertEqual((ended["outcome"]["reason"], ended["outcome"]["message"]),
                         ("killed", "the session was ended: idle for 1 s"))

    def test_its_time_goes_on_while_it_sleeps(self):
        session = self.new("--timeout", "3s")
        self.sh(session, "echo kept >/output/o")
        self.hibernate(session)
        self.home.wait_ended(session)
        self.assertEqual(self.home.inspect(session)["outcome"]["reason"], "timeout")
        self.assertIn("o", self.home.must("artifacts", session).stdout.decode().split())

    def test_over_http_what_is_in_its_output_is_kept_too(self):
        session = self.new()
        self.sh(session, "echo kept >/output/o")
        self.hibernate(session)
        self.assertEqual(self.home.request("DELETE", f"/v1/sessions/{session}").status, 202)
        self.home.wait_ended(session)
        self.assertIn("o", self.home.must("artifacts", session).stdout.decode().split())
        # Nothing of its own, nothing to be woken for.
        session = self.new()
        self.hibernate(session)
        self.assertEqual(self.home.request("DELETE", f"/v1/sessions/{session}").status, 202)
        self.home.wait_ended(session)
        self.assertEqual(self.events(session).count("launching"), 1)


class OnAnEnvironment(sessions.SessionsTest, layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [{**layers.programs("sh", "cat", "rm", "mkdir", "ls"),
                             "opt/old": b"old\n"}]}

    def test_many_nights_become_few_layers_and_an_environment_of_them_has_no_scratch(self):
        session = self.new("--env", "box", "--user", "root")
        self.sh(session, "rm /opt/old")
        for night in range(10):
            self.sh(session, f"""
                echo {night} >>/opt/nights; echo {night} >>/tmp/t; echo {night} >/output/o
                mkdir /opt/{night}; rm -f /opt/{night - 1}/f; echo x >/opt/{night}/f""")
            self.hibernate(session)
        own = self.home.inspect(session)["own_layers"]
        self.assertLess(len(own["root"]), 8)
        self.assertLess(len(own["scratch"]), 8)
        self.home.must("env", "gc")  # what is a session's own is needed
        nights = "".join(f"{night}\n" for night in range(10))
        seen = self.sh(session, "cat /opt/nights; ls /opt/8 /opt/9; cat /tmp/t /output/o")
        self.assertEqual(seen, nights + "/opt/8:\n\n/opt/9:\nf\n" + nights + "9\n")
        self.hibernate(session)
        self.home.must("env", "freeze", session, "--name", "nights")
        self.assertEqual(self.state(session), "hibernated")
        seen = self.home.must("run", "--env", "nights", "--", "sh", "-c",
                              "cat /opt/nights; ls /tmp /output; cat /opt/old || echo gone")
        self.assertEqual(seen.stdout.decode(), nights + "/output:\n\n/tmp:\ngone\n")
        self.home.must("env", "verify", "nights")
        self.kill(session)  # it sleeps
        self.assertIn("o", self.home.must("artifacts", session).stdout.decode())

    def asleep_with_a_layer(self):
        """A session, the digest of its own layer, and where that is."""
        session = self.new("--env", "box", "--user", "root")
        self.sh(session, "echo mine >/opt/mine")
        self.hibernate(session)
        digest, = self.home.inspect(session)["own_layers"]["root"]
        return session, digest, layers.layer_folder(self.home, digest)

    def test_s37_no_seed_that_a_program_has_kept_comes_along(self):
        """After a loss, a fork and a night, and in an environment that is frozen of it."""
        files = ("/var/lib/dbus/machine-id /var/lib/systemd/random-seed "
                 "/var/lib/urandom/random-seed")
        write = f"for f in {files}; do echo SEED >$f; echo kept >$f.too; done"
        session = self.new("--env", "box", "--user", "root")
        self.sh(session, f"mkdir -p /var/lib/dbus /var/lib/systemd /var/lib/urandom; {write}")

        def seen(one):
            return self.sh(one, f"cat {files} 2>/dev/null; cat /var/lib/*/*.too").split()

        self.assertEqual(seen(session), ["SEED"] * 3 + ["kept"] * 3)
        self.checkpoint(session)
        self.lose_launcher(session)
        self.assertEqual(seen(session), ["kept"] * 3)
        self.sh(session, write)
        fork, = self.fork(session, 1)
        self.home.must("env", "freeze", session, "--name", "seeded")
        frozen = self.new("--env", "seeded")
        self.hibernate(session)
        for one in (session, fork, frozen):
            self.assertEqual(seen(one), ["kept"] * 3)
        self.kill(session, fork, frozen)

    def test_verify_reads_the_layers_of_sessions_asleep_forked_and_awake(self):
        session, _, layer = self.asleep_with_a_layer()

        def found_as(*sessions):
            owners = tuple(f"session {one}" for one in sorted(sessions))
            with layers.flipped(layer / "root/opt/mine"):
                verdict = layers.faults_of(self, self.home)[owners]
                self.assertIn("opt/mine", verdict["difference"])
                self.assertIn(f"`tare session kill {sorted(sessions)[0]}`", verdict["fix"])
            with layers.moved_away(self.home, layer):
                verdict = layers.faults_of(self, self.home)[owners]
                self.assertIn("is not in the store", verdict["difference"])
            self.assertEqual(layers.faults_of(self, self.home), {})

        found_as(session)
        fork, = self.fork(session, 1)
        found_as(session, fork)  # one sleeps, one lives
        self.kill(session)
        self.assertEqual(self.sh(fork, "cat /opt/mine"), "mine\n")
        found_as(fork)
        self.kill(fork)

    def test_one_whose_layer_is_missing_names_it_and_sleeps_on_until_it_is_back(self):
        session, digest, layer = self.asleep_with_a_layer()
        why = (f"layer {digest} is not in the store (store/layers/{layer.name}): put it back from "
               "a backup; `tare env verify` says what needs it")
        with layers.moved_away(self.home, layer):
            for verb in (["exec", session, "--", "true"], ["wake", session],
                         ["cp", f"{session}:/opt/mine", "-"]):
                refused = self.home.tare("session", *verb)
                self.assert_status(refused, 73)
                self.assertIn(f"session {session} could not be woken, and sleeps on: {why}",
                              refused.stderr.decode())
                self.assertEqual(self.state(session), "hibernated")
        self.assertEqual(self.sh(session, "cat /opt/mine"), "mine\n")
        self.kill(session)

    def test_s38_one_with_a_known_secret_neither_sleeps_nor_is_forked_and_goes_on(self):
        secret = b"sk-" + os.urandom(16).hex().encode()
        self.home.must("canary", "add", "key", data=secret)
        self.addCleanup(self.home.must, "canary", "rm", "key")
        session = self.new("--env", "box", "--user", "root")
        self.home.must("session", "cp", "-", f"{session}:/opt/leak", data=b"x" + secret)
        for verb in ("hibernate", "fork"):
            refused = self.home.tare("session", verb, session)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(b"opt/leak", refused.stderr)
            self.assertNotIn(secret, refused.stderr)
        self.assertEqual(self.sh(session, "rm /opt/leak; echo on").strip(), "on")
        self.hibernate(session)
        self.kill(session)


class Fork(sessions.SessionsTest):
    def test_forks_begin_alike_and_go_on_apart(self):
        session = self.new("--user", "root")
        self.sh(session, "echo common >/root/f; echo t >/tmp/t; "
                         "setsid -f sleep 1000 >/dev/null 2>&1; until pgrep sleep; do :; done")
        forks = self.fork(session, 3)
        self.assertEqual(len(set(forks + [session])), 4)
        for number, one in enumerate(forks):
            self.assertEqual(self.sh(one, "cat /root/f /tmp/t").split(), ["common", "t"])
            self.sh(one, f"echo {number} >/root/f")
        self.assertEqual([self.sh(one, "cat /root/f").strip() for one in [session] + forks],
                         ["common", "0", "1", "2"])
        harness.wait_until(lambda: len(self.home.programs()) == 1, "one sleep runs")
        self.assertEqual(self.home.inspect(forks[0])["request"]["forked_from"], session)
        # A fork of one that sleeps, and of a fork.
        self.hibernate(forks[0])
        child, = self.fork(forks[0], 1)
        self.assertEqual(self.state(forks[0]), "hibernated")
        self.assertEqual(self.sh(child, "cat /root/f").strip(), "0")
        self.kill(session, child, *forks)

    def test_s37_two_forks_share_no_identity_and_no_randomness(self):
        """machine-id, hostname, run handle, UUIDs, Python's generators and hash, OpenSSL, ASLR."""
        session = self.new()
        probe = """
import os, random, secrets, socket, ssl, uuid
for one in (open("/etc/machine-id").read(), socket.gethostname(), os.environ["TARE_RUN"],
            uuid.uuid1(), uuid.uuid4(), random.random(), hash("x"), os.urandom(8).hex(),
            ssl.RAND_bytes(8).hex(), secrets.token_hex(8), id(object())):
    print(str(one).strip())
"""
        self.home.must("session", "cp", "-", f"{session}:probe.py", data=probe.encode())
        self.hibernate(session)
        forks = self.fork(session, 2)
        answers = [self.sh(one, "python3 probe.py").splitlines() for one in forks + [session]]
        for values in zip(*answers):
            self.assertEqual(len(set(values)), 3, values)
        self.kill(session, *forks)

    def test_one_too_many_or_none_is_refused(self):
        session = self.new()
        for count in (0, 65):
            answer = self.home.request("POST", f"/v1/sessions/{session}/fork", {"count": count})
            self.assertEqual((answer.status, answer.json["error"]["field"]), (400, "count"))
        self.kill(session)


class Crash(sessions.SessionsTest):
    def test_one_that_sleeps_outlives_every_daemon(self):
        session = self.new("--user", "root")
        self.sh(session, "echo kept >/root/f")
        self.hibernate(session)
        names = ("tared", "tare-launcher", "tare-store")
        for pid in [self.home.program_pid(name) for name in names]:
            harness.sigkill(pid)
        self.home.up()
        self.assertEqual(self.state(session), "hibernated")
        self.assertEqual(self.sh(session, "cat /root/f").strip(), "kept")
        self.kill(session)

    def test_one_that_was_awake_when_the_launcher_died_is_what_it_was_when_it_last_slept(self):
        session = self.new("--user", "root")
        self.sh(session, "echo kept >/root/f")
        self.hibernate(session)
        self.sh(session, "echo lost >/root/f")
        harness.sigkill(self.home.program_pid("tare-launcher"))
        self.addCleanup(self.home.up)
        harness.wait_until(lambda: self.state(session) == "hibernated", "it sleeps")
        self.home.up()
        self.assertEqual(self.sh(session, "cat /root/f").strip(), "kept")
        messages = [one["message"] for one in self.home.inspect(session)["events"]
                    if one["type"] == "hibernated"]
        self.assertIn("tare-launcher", messages[-1])
        self.kill(session)

    def test_killed_at_any_moment_of_a_hibernation_it_is_awake_or_asleep_and_whole(self):
        """SIGKILL of tared or tare-store: what was written before is always there."""
        session = self.new("--user", "root")
        whole_s = []
        for _ in range(3):
            began = time.monotonic()
            self.hibernate(session)
            whole_s.append(time.monotonic() - began)
            self.sh(session, "true")
        rounds = 60 if os.environ.get("TARE_MANY") else 15
        slept = 0
        for number in range(1, rounds + 1):
            name = ("tared", "tare-store", "tared")[number % 3]
            pid = self.home.program_pid(name)
            self.sh(session, f"echo {number} >>/root/numbers")
            asked = self.home.popen("session", "hibernate", session)
            time.sleep(max(whole_s) * 1.2 * number / rounds)
            harness.sigkill(pid)
            asked.communicate()
            acknowledged = asked.returncode == 0
            self.home.up()
            harness.wait_until(lambda: self.state(session) in ("running", "hibernated"),
                               "awake or asleep")
            if acknowledged:
                self.assertEqual(self.state(session), "hibernated")
            slept += self.state(session) == "hibernated"
            found = self.sh(session, "cat /root/numbers").split()
            self.assertEqual(found, [str(n) for n in range(1, number + 1)], name)
        self.assertGreater(slept, 0)
        self.assertLess(slept, rounds)
        self.assertIn("hibernated", self.events(session))
        self.kill(session)
        self.home.must("env", "gc")


if __name__ == "__main__":
    unittest.main()
