"""SIGKILL of tared and of tare-store while a session is frozen: the environment is there whole or
not at all, what was acknowledged is there, and the session goes on. TARE_KILLS=N: so many kills
instead of a few."""

import json
import os
import random
import threading
import time
import unittest

import harness
from layers import EnvironmentsTest, programs

KILLS = int(os.environ.get("TARE_KILLS", "8"))


class FreezeKill(EnvironmentsTest):
    ENVIRONMENTS = {"box": [programs("sh", "cat", "head", "mkdir", "split", "sleep")]}

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
        luck, longest, acknowledged = random.Random(3), 0.3, []
        for i in range(KILLS):
            self.home.must(*inside, f"mkdir -p /srv/{i}; cd /srv/{i}; "
                                    f"head -c 2000000 /dev/urandom | split -b 20000")
            victim = ("tared", "tare-store")[i % 2]
            pid, answers = self.home.program_pid(victim), []
            thread = threading.Thread(target=self.freeze, args=(session, f"f{i}", answers))
            began = time.monotonic()
            thread.start()
            time.sleep(luck.random() * longest)
            harness.sigkill(pid)
            thread.join()
            longest = min(longest, max(0.05, time.monotonic() - began))
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
        self.home.must("env", "freeze", session, "--name", "last")
        count = self.home.must("run", "--env", "last", "--", "sh", "-c",
                               "set -- /srv/*; echo $#").stdout
        self.assertEqual(int(count), KILLS)
        self.home.must("session", "kill", session)
        self.home.must("env", "gc")
        self.home.must("env", "verify")


if __name__ == "__main__":
    unittest.main()
