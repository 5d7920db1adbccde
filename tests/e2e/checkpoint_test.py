"""Checkpoints: what an awake session has changed is on disk, and it goes on. What is lost without
them. Sessions that answer only behind one are in durable_test.py.
"""

import concurrent.futures
import json
import os
import subprocess
import time
import unittest

import harness
import layers
import sessions

BACKGROUND = "setsid -f sh -c '{}' >/dev/null 2>&1 </dev/null"
UNCHANGING = "cat /etc/machine-id; hostname"


class Checkpoint(sessions.SessionsTest):
    def test_it_goes_on_and_when_its_sandbox_is_lost_wakes_with_what_it_was_then(self):
        session = self.new("--user", "root")
        self.sh(session, f"""
            echo kept >/root/f; echo t >/tmp/t; echo o >/output/o; echo x >/root/gone
            {BACKGROUND.format('exec sleep 1000')}; until pgrep sleep; do :; done""")
        before = self.sh(session, UNCHANGING)
        harness.wait_until(lambda: len(self.home.programs()) == 1, "the sleep alone runs")
        asleep = self.home.programs()
        shown = self.checkpoint(session)
        self.assertEqual((shown["state"], shown["attempt"]), ("running", 1))
        self.assertGreaterEqual(shown["checkpoint"]["at_ms"], shown["started_ms"])
        self.assertEqual(self.home.programs(), asleep)
        self.assertEqual(self.sh(session, UNCHANGING), before)
        self.sh(session, "rm /root/gone; echo lost >/root/f; echo lost >/root/new")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat /root/* /tmp/t /output/o").split(),
                         ["kept", "x", "t", "o"])
        self.assertEqual(self.home.inspect(session)["attempt"], 2)
        self.kill(session)
        self.assertIn("o", self.home.must("artifacts", session).stdout.decode().split())

    def test_each_takes_the_place_of_the_one_before_and_its_layers_go(self):
        session = self.new("--user", "root")
        seen = set()
        for number in range(24):
            self.sh(session, f"echo {number} >>/root/numbers; echo {number} >/tmp/t")
            own = self.checkpoint(session)["checkpoint"]["own_layers"]
            self.assertEqual((len(own["root"]), len(own["scratch"])), (1, 1))
            seen |= {*own["root"], *own["scratch"]}
        self.assertEqual(self.events(session).count("checkpointed"), 1)
        self.assertEqual(len(seen), 48)

        def there():
            return [one for one in seen if layers.layer_folder(self.home, one).exists()]

        harness.wait_until(lambda: len(there()) == 2, "those of before are gone")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat /root/numbers").split(), [str(n) for n in range(24)])
        self.kill(session)

    def test_those_that_could_not_go_while_something_was_stored_go_then_however_many(self):
        session = self.new("--user", "root")
        seen = set()

        def there():
            return {one for one in seen if layers.layer_folder(self.home, one).exists()}

        with self.home.popen("env", "import", "-", "--name", "slow",
                             stdin=subprocess.PIPE) as client:
            client.stdin.write(bytes(512))
            client.stdin.flush()
            staging = self.home.path / "store/staging"
            harness.wait_until(lambda: list(staging.iterdir()), "it is being stored")
            for number in range(80):  # more than the record of a session lists
                self.put(session, "/root/f", str(number).encode())
                self.put(session, "/tmp/f", str(number).encode())
                own = self.checkpoint(session)["checkpoint"]["own_layers"]
                seen |= {*own["root"], *own["scratch"]}
            listed = self.home.inspect(session)["checkpoint"]["replaced"]
            self.assertEqual((len(seen), len(there())), (160, 160))
            self.assertLess(len(listed), 158)
            client.kill()
        harness.wait_until(lambda: there() == {*own["root"], *own["scratch"]},
                           "those of before are gone")
        self.kill(session)

    def test_where_nothing_has_changed_no_layer_is_made(self):
        session = self.new()
        self.sh(session, "echo 1 >f")
        first = self.checkpoint(session)["checkpoint"]
        self.assertEqual(self.checkpoint(session)["checkpoint"], first)
        self.sh(session, "cat f")  # it might have changed something
        self.assertEqual(self.checkpoint(session)["checkpoint"], first)
        folder = self.home.path / "store/layers"
        before = sorted(os.listdir(folder))
        self.sh(session, "true")
        self.checkpoint(session)
        self.assertEqual(sorted(os.listdir(folder)), before)
        self.kill(session)

    def test_after_a_night_and_a_loss_it_goes_on_from_there(self):
        session = self.new("--user", "root")
        expected = []
        for round in range(4):
            self.sh(session, f"echo {round}a >>/root/f")
            self.hibernate(session)
            self.sh(session, f"echo {round}b >>/root/f; echo {round} >/root/{round}; "
                             f"rm -f /root/{round - 1}")
            self.checkpoint(session)
            self.sh(session, "echo lost >>/root/f")
            self.lose_launcher(session)
            expected += [f"{round}a", f"{round}b"]
            self.assertEqual(self.sh(session, "cat /root/f").split(), expected)
        self.assertEqual(self.sh(session, "ls /root").split(), ["3", "f"])
        self.kill(session)

    def test_losses_without_a_night_leave_few_layers(self):
        session = self.new("--user", "root")
        for round in range(16):
            self.sh(session, f"echo {round} >>/root/f")
            self.checkpoint(session)
            self.lose_launcher(session)
        own = self.home.inspect(session)["own_layers"]
        self.assertLess(len(own["root"]), 13)
        self.assertEqual(self.sh(session, "cat /root/f").split(), [str(n) for n in range(16)])
        self.kill(session)

    def test_one_that_sleeps_one_that_ended_and_a_run_have_none_made(self):
        session = self.new()
        self.sh(session, "echo 1 >f")
        self.hibernate(session)
        answer = self.home.request("POST", f"/v1/sessions/{session}/checkpoint")
        self.assertEqual((answer.status, answer.json["state"]), (200, "hibernated"))
        self.assertNotIn("checkpoint", answer.json)
        self.kill(session)
        answer = self.home.request("POST", f"/v1/sessions/{session}/checkpoint")
        self.assertEqual(answer.status, 409)
        run = self.home.detached("sleep", "1000")
        answer = self.home.request("POST", f"/v1/sessions/{run}/checkpoint")
        self.assertEqual(answer.status, 404)
        self.home.must("kill", run)
        self.home.wait_ended(run)

    def test_one_of_which_nothing_was_kept_fails_and_says_what_would_have_helped(self):
        session = self.new()
        self.sh(session, "echo 1 >f")
        harness.sigkill(self.home.program_pid("tare-launcher"))
        self.addCleanup(self.home.up)
        ended = self.home.wait_ended(session)
        self.assertEqual(ended["outcome"]["reason"], "launcher_lost")
        for way in ("tare session checkpoint", "--checkpoint TIME", "--durable"):
            self.assertIn(way, ended["outcome"]["message"])

    def test_what_makes_no_sense_is_refused_and_named(self):
        for body, field in (({"checkpoint_interval_ms": 10}, "checkpoint_interval_ms"),
                            ({"durable": "yes"}, "durable"),
                            ({"checkpoint_interval_ms": 60_000, "limits": {"time_ms": 60_000}},
                             "checkpoint_interval_ms")):
            answer = self.home.request("POST", "/v1/sessions", {"environment": "host", **body})
            self.assertEqual((answer.status, answer.json["error"]["field"]), (400, field))
        for body, field in (({"checkpoint_interval_ms": 1000}, "checkpoint_interval_ms"),
                            ({"durable": True}, "durable")):
            answer = self.home.request("POST", "/v1/runs",
                                       {"environment": "host", "argv": ["true"], **body})
            self.assertEqual((answer.status, answer.json["error"]["field"]), (400, field))

    def test_forks_freezes_nights_and_checkpoints_at_once_wait_for_one_another(self):
        session = self.new("--user", "root")
        self.sh(session, "echo 1 >/root/f")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(self.home.request, "POST", f"/v1/sessions/{session}/{verb}", body)
                     for verb, body in (("checkpoint", None), ("fork", {}), ("checkpoint", None),
                                        ("fork", {}), ("hibernate", None), ("checkpoint", None))]
            answers = [one.result() for one in asked]
        self.assertEqual({answer.status for answer in answers} - {200, 201}, set(),
                         [answer.body for answer in answers])
        forks = [one["id"] for answer in answers if "sessions" in answer.json
                 for one in answer.json["sessions"]]
        for one in (session, *forks):
            self.assertEqual(self.sh(one, "cat /root/f"), "1\n")
        self.kill(session, *forks)


class UnderWay(sessions.SessionsTest):
    """Of what has not ended yet a checkpoint holds what was said, or answered, before it."""

    def detached(self, session, script):
        self.home.must("session", "exec", "-d", session, "--", "sh", "-c", script)

    def wait_for(self, session, path):
        """By a look from inside that changes nothing."""
        harness.wait_until(lambda: self.get(session, path) == b"x\n", f"{path} is there")

    def test_what_an_exec_that_goes_on_has_written_is_in_the_checkpoint_that_is_asked_for(self):
        session = self.new()
        self.sh(session, "echo 1 >before")
        self.checkpoint(session)  # nothing runs
        self.checkpoint(session)
        self.detached(session, "echo x >f; exec sleep 1000")
        self.wait_for(session, "f")
        self.checkpoint(session)
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat before f").split(), ["1", "x"])
        self.kill(session)

    def test_what_an_exec_says_after_it_wrote_it_is_in_the_checkpoint_that_is_asked_for_then(self):
        session = self.new()
        self.sh(session, "echo 0 >f")
        self.checkpoint(session)
        script = "n=1; while :; do echo $n >f; echo $n; n=$((n+1)); read next; done"
        with self.home.popen("session", "exec", "-i", session, "--", "sh", "-c", script,
                             stdin=subprocess.PIPE) as loop:
            for round in range(6):
                said = int(loop.stdout.readline())
                self.checkpoint(session)
                own = self.home.inspect(session)["checkpoint"]["own_layers"]["root"]
                kept = layers.layer_folder(self.home, own[-1]) / "root/home/agent/f"
                self.assertEqual(int(kept.read_text()), said)
                loop.stdin.write(b"\n")
                loop.stdin.flush()
            said = int(loop.stdout.readline())
            self.checkpoint(session)
            self.lose_launcher(session)
            loop.stdin.close()
        self.assertEqual(int(self.sh(session, "cat f")), said)
        self.kill(session)

    def test_the_exec_that_woke_it_is_kept_by_itself_while_it_goes_on(self):
        session = self.new("--checkpoint", "1s")
        self.hibernate(session)
        slept_ms = self.home.inspect(session).get("checkpoint", {}).get("at_ms", 0)
        self.detached(session, "echo x >f; exec sleep 1000")
        self.wait_for(session, "f")
        said_ms = time.time() * 1000
        harness.wait_until(
            lambda: self.home.inspect(session).get("checkpoint", {}).get("at_ms", 0) > said_ms,
            f"a checkpoint (the last: {slept_ms})")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat f"), "x\n")
        self.kill(session)

    def test_a_file_that_was_answered_is_in_the_checkpoint_that_is_asked_for_right_behind(self):
        session = self.new()
        self.put(session, "f", b"0")
        self.checkpoint(session)
        # Without a program between the two: the end of the write is perhaps not told yet.
        for number in range(1, 41):
            body = str(number).encode()
            self.assertEqual(self.put(session, "f", body).status, 200)
            answer = self.home.request("POST", f"/v1/sessions/{session}/checkpoint")
            self.assertEqual(answer.status, 200)
            own = self.home.inspect(session)["checkpoint"]["own_layers"]["root"]
            kept = layers.layer_folder(self.home, own[-1]) / "root/home/agent/f"
            self.assertEqual(kept.read_bytes(), body)
        self.kill(session)


class ByItself(sessions.SessionsTest):
    def at_ms(self, session):
        return self.home.inspect(session).get("checkpoint", {}).get("at_ms", 0)

    def kept(self, session):
        """What /home/agent has in its checkpoint."""
        own = self.home.inspect(session).get("checkpoint", {}).get("own_layers", {"root": []})
        if not own["root"]:
            return {}
        folder = layers.layer_folder(self.home, own["root"][-1]) / "root/home/agent"
        try:
            return {file.name: file.read_bytes() for file in folder.iterdir()}
        except FileNotFoundError:  # another has taken its place
            return {}

    def test_one_is_made_when_an_exec_or_a_file_operation_may_have_changed_something(self):
        session = self.new("--checkpoint", "1s")
        f, g = {"f": b"exec\n"}, {"g": b"put\n"}
        for change, expected in (
                (lambda: self.sh(session, "echo exec >f"), f),
                (lambda: self.put(session, "g", g["g"]), f | g),
                (lambda: self.home.must("session", "rm", f"{session}:f"), g)):
            change()
            harness.wait_until(lambda: self.kept(session) == expected, "a checkpoint")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat *"), "put\n")
        self.kill(session)

    def test_as_long_as_something_lives_in_the_background_they_are_made(self):
        session = self.new("--checkpoint", "1s")
        self.sh(session, BACKGROUND.format("while :; do echo x >>f; sleep 0.1; done"))
        seen = set()
        harness.wait_until(lambda: seen.add(self.at_ms(session)) or len(seen) > 3, "checkpoints")
        size = int(self.sh(session, "wc -l <f"))
        harness.wait_until(lambda: self.kept(session).get("f", b"").count(b"\n") >= size, "more")
        self.lose_launcher(session)
        self.assertGreaterEqual(int(self.sh(session, "wc -l <f")), size)
        self.kill(session)

    def test_one_that_cannot_be_made_is_shown_with_why_and_the_session_goes_on(self):
        secret = b"sk-" + os.urandom(16).hex().encode()
        self.home.must("canary", "add", "key", data=secret)
        self.addCleanup(self.home.must, "canary", "rm", "key")
        session = self.new("--checkpoint", "1s", "--user", "root")
        self.sh(session, "echo kept >/root/f")
        harness.wait_until(lambda: self.at_ms(session) > 0, "a checkpoint")
        self.put(session, "/root/leak", b"x" + secret)

        def fault():
            listed = json.loads(self.home.must("session", "list", "--json").stdout)["sessions"]
            return next(one for one in listed if one["id"] == session)["checkpoint"].get("fault")

        harness.wait_until(fault, "it is shown")
        self.assertIn("root/leak", fault())
        self.assertNotIn(secret.decode(), fault())
        refused = self.home.tare("session", "checkpoint", session)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(b"root/leak", refused.stderr)
        failed = [one for one in self.home.inspect(session)["events"]
                  if one["type"] == "checkpoint_failed"]
        self.assertEqual(len(failed), 1)
        self.assertIn("root/leak", failed[0]["message"])
        self.sh(session, "echo on >>/root/f; rm /root/leak")
        harness.wait_until(lambda: not fault(), "it is no more")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "cat /root/f").split(), ["kept", "on"])
        self.kill(session)


class OnAnEnvironment(sessions.SessionsTest, layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [{**layers.programs("sh", "cat", "rm", "mkdir", "ls", "head", "sync"),
                             "opt/old": b"old\n"}]}

    def test_what_has_not_changed_since_the_last_one_is_not_stored_again(self):
        session = self.new("--env", "box", "--user", "root")
        self.sh(session, "rm /opt/old; mkdir /opt/d; head -c 3000000 /dev/urandom >/opt/d/large; "
                         "echo 1 >/opt/small")

        def large():
            digest, = self.checkpoint(session)["checkpoint"]["own_layers"]["root"]
            return os.stat(layers.layer_folder(self.home, digest) / "root/opt/d/large")

        first = large()
        self.sh(session, "echo 2 >/opt/small")
        second = large()
        self.assertEqual(first.st_ino, second.st_ino)
        self.sh(session, "echo 2 >>/opt/d/large")
        self.assertNotEqual(large().st_ino, second.st_ino)
        self.home.must("env", "verify")
        self.lose_launcher(session)
        self.assertEqual(self.sh(session, "ls /opt; cat /opt/small").split(), ["d", "small", "2"])
        self.kill(session)

    def test_an_environment_that_is_frozen_of_one_has_its_files_and_no_scratch(self):
        session = self.new("--env", "box", "--user", "root", "--durable")
        self.sh(session, "rm /opt/old; echo mine >/opt/mine; echo t >/tmp/t")
        self.home.must("env", "freeze", session, "--name", "frozen")
        seen = self.home.must("run", "--env", "frozen", "--", "sh", "-c", "cat /opt/*; ls /tmp")
        self.assertEqual(seen.stdout, b"mine\n")
        self.lose_launcher(session)
        self.home.must("env", "verify")
        self.kill(session)


if __name__ == "__main__":
    unittest.main()
