"""SIGKILL of tared and of tare-store while a session is frozen: the environment is there whole or
not at all, what was acknowledged is there, and the session goes on. TARE_KILLS=N: so many kills
instead of a few."""

import json
import os
import threading
import time
import unittest

import harness
from layers import EnvironmentsTest, programs

KILLS = int(os.environ.get("TARE_KILLS", "8"))


class FreezeKill(EnvironmentsTest):
    ENVIRONMENTS = {"box": [programs("sh", "cat", "head", "mkdir", "rm", "split")]}

    def freeze(self, session, name, answers):
        try:
            answers.append(self.home.request("POST", f"/v1/sessions/{session}/freeze",
                                             {"name": name}).status)
        except OSError:
            answers.append(None)  # tared is gone

    def names(self):
        all_of_them = json.loads(self.home.must("env", "list", "--json").stdout)["environments"]
        return {one["name"] for one in all_of_them}

    def test_a_freeze_that_is_killed_at_any_moment_is_whole_or_not_there(self):
        session = self.home.must("session", "new", "--env", "box", "--user", "root", "--disk",
                                 "512M").stdout.decode().strip()
        inside = ("session", "exec", session, "--", "sh", "-c")

        def change(number):
            self.home.must(*inside, f"rm -rf /srv/*; mkdir -p /srv/{number}; cd /srv/{number}; "
                                    f"head -c 2000000 /dev/urandom | split -b 20000")

        whole_s, answers, victims = [], [], ("tared", "tare-store")
        for i in range(3):
            change(f"whole{i}")
            # As those below: the first of a daemon takes longer.
            harness.sigkill(self.home.program_pid(victims[i % 2]))
            self.home.up()
            began = time.monotonic()
            self.freeze(session, f"whole{i}", answers)
            whole_s.append(time.monotonic() - began)
        self.assertEqual(answers, [201] * 3)
        acknowledged = []
        for i in range(1, KILLS + 1):
            change(i)
            victim = victims[i % 2]
            pid, answers = self.home.program_pid(victim), []
            thread = threading.Thread(target=self.freeze, args=(session, f"f{i}", answers))
            thread.start()
            time.sleep(1.5 * max(whole_s) * i / KILLS)
            harness.sigkill(pid)
            thread.join()
            self.home.up()
            if answers == [201]:
                acknowledged.append(f"f{i}")
            with self.subTest(kill=i, victim=victim, answer=answers):
                self.assertEqual(self.home.must(*inside, f"cat /srv/{i}/* | head -c 1").stdout[1:],
                                 b"", "the session goes on")
                self.assertLessEqual(set(acknowledged), self.names())
                harness.wait_until(lambda: not os.listdir(self.home.path / "store/staging"),
                                   "an empty staging folder")
                self.home.must("env", "verify")
        self.assertGreater(len(acknowledged), 0)
        self.assertLess(len(acknowledged), KILLS, "no kill came in the midst of a freeze")
        self.home.must("env", "freeze", session, "--name", "last")
        for name, number in ("last", KILLS), (acknowledged[0], acknowledged[0].removeprefix("f")):
            seen = self.home.must("run", "--env", name, "--", "sh", "-c",
                                  "cd /srv; echo *; set -- */*; echo $#").stdout.decode()
            self.assertEqual(seen.split(), [str(number), "100"])
        self.home.must("session", "kill", session)
        self.home.must("env", "gc")
        self.home.must("env", "verify")


if __name__ == "__main__":
    unittest.main()
