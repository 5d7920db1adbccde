"""A session whose runner could not be changed, and whose files cannot be kept yet, is held: nothing
runs in it, and all of them are there, until they can be kept, or somebody gives them up."""

import concurrent.futures
import json
import os
import shutil
import tempfile
import threading
import time
import unittest
from pathlib import Path

import harness
import swaps

MANY = os.environ.get("TARE_MANY")
# Held up inside only: there is a file that the trial does not see. Its processes have a name.
SLOW = ["sh", "-c", "test ! -e /home/agent/slow || sleep 37.25; echo '{\"tare_runner\":1}'"]
# More folders in each other than a path can name.
DEEP = "python3 -c 'import os\nfor _ in range(2200): os.mkdir(\"d\"); os.chdir(\"d\")'"
LOOK = "cat first second; sh /opt/tare/runner/main.sh; echo $TARE_RUNNER"


def versions(home, folder, name, handshake=None):
    for version in "12":
        swaps.add_runner(home, folder, name, version, {"main.sh": f"echo {version}\n"}, handshake,
                         'handshake_time = "50s"')


class Held(swaps.SwapTest):
    def secret(self):
        """One that is looked for, until the end of the test at the latest."""
        value = b"sk-" + os.urandom(16).hex().encode()
        self.home.must("canary", "add", "key", data=value)
        self.addCleanup(self.home.tare, "canary", "rm", "key")
        return value.decode()

    def remove_secret(self):
        self.home.must("canary", "rm", "key")

    def poisoned(self, name, script="", slept=False, options=()):
        """A session with files, in which no exchange of its runner succeeds."""
        versions(self.home, self.folder, name)
        session = self.session(f"{name}@1", *options)
        self.inside(session, "echo first >first")
        if slept:
            self.home.must("session", "hibernate", session)
        self.inside(session, f"echo second >second; echo made >/output/made; {script}")
        self.inside(session, "touch poison")
        return session

    def held(self, session):
        run = self.home.inspect(session)
        self.assertEqual(run["state"], "running", run)
        return run.get("held")

    def wait_held(self, session):
        return harness.wait_until(lambda: self.held(session), "it is held")

    def assert_held(self, session, why):
        """Whatever is wanted of it, and why it is not to be had; nothing runs in it."""
        wanted = (("session", "exec", session, "--", "cat", "first"),
                  ("session", "cp", f"{session}:first", self.folder / "copy"),
                  ("session", "hibernate", session), ("session", "checkpoint", session),
                  ("session", "fork", session), ("session", "wake", session),
                  ("runner", "swap", session))
        with concurrent.futures.ThreadPoolExecutor() as pool:  # each waits for the next try
            refused = list(pool.map(lambda command: self.home.tare(*command), wanted))
        for command, answer in zip(wanted, refused):
            with self.subTest(command=command[:2]):
                self.assert_reason(answer, 73, f".*{session} is held.*{why}"
                                   f".*`tare session kill {session}` gives it up")
        self.assertRegex(self.held(session), why)
        self.assertRegex(self.home.request("GET", f"/v1/sessions/{session}").json["held"], why)
        listed = self.home.must("session", "list").stdout.decode().splitlines()
        line, = (line for line in listed if session in line)
        self.assertIn(" held ", line)

    def wait_asleep(self, session):
        return harness.wait_until(
            lambda: self.home.inspect(session)["state"] == "hibernated", "its sleep")

    def assert_goes_on(self, session, name):
        """With all that it has written, and the runner of before; and can be given another one."""
        self.assertEqual(self.inside(session, LOOK), f"first\nsecond\n1\n{name}@1\n")
        self.assertNotIn("held", self.home.inspect(session))
        self.inside(session, "rm -f poison slow")
        self.assertEqual(self.swap(session, f"{name}@2").returncode, 0)
        self.assertEqual(self.inside(session, LOOK), f"first\nsecond\n2\n{name}@2\n")
        self.home.must("session", "kill", session)

    def has_a_secret(self, name, slept):
        secret = self.secret()
        session = self.poisoned(name, f"echo {secret} >env", slept)
        why = 'the secret "key" is in "home/agent/env".*`tare canary rm`'
        swapped = self.swap(session, f"{name}@2")
        self.assert_reason(swapped, 73, f".*{session} is held: its runner could not be changed"
                           f".*{why}.*`tare session kill {session}` gives it up")
        self.assertNotIn(secret.encode(), swapped.stderr)
        self.assert_held(session, why)
        self.remove_secret()
        if slept:  # else what comes next waits for that
            self.wait_asleep(session)
        self.assert_goes_on(session, name)

    def test_one_with_a_secret_that_never_slept_is_held_until_the_secret_is_removed(self):
        self.has_a_secret("never", False)

    def test_one_with_a_secret_that_has_slept_loses_nothing_since(self):
        self.has_a_secret("slept", True)

    def test_one_with_too_deep_a_folder_is_held_until_it_is_given_up(self):
        session = self.poisoned("deep", DEEP)
        self.assert_reason(self.swap(session, "deep@2"), 73, f".*{session} is held")
        self.assert_held(session, "cannot be kept")
        self.home.must("session", "kill", session)
        run = self.home.wait_ended(session)
        self.assertEqual((run["state"], run["outcome"]["reason"]), ("cancelled", "killed"))
        self.assertRegex(run["outcome"]["message"],
                         "the session was ended on request; what it had written could not be kept")
        self.home.must("artifacts", session, "-o", self.folder / "out")
        self.assertEqual((self.folder / "out" / "made").read_text(), "made\n")

    def test_a_tared_that_dies_in_the_midst_leaves_one_with_a_secret_held(self):
        secret = self.secret()
        versions(self.home, self.folder, "slow", SLOW)
        for slept in (False, True):
            with self.subTest(slept=slept):
                session = self.session("slow@1")
                self.inside(session, "echo first >first")
                if slept:
                    self.home.must("session", "hibernate", session)
                self.inside(session, f"echo second >second; echo {secret} >slow")
                swapping = threading.Thread(target=self.swap, args=(session, "slow@2"))
                swapping.start()
                harness.wait_until(lambda: any(harness.read_text(f"/proc/{pid}/cmdline") ==
                                               "sleep\00037.25\0" for pid in harness.pids()),
                                   "the handshake inside")
                harness.sigkill(self.home.program_pid("tared"))
                swapping.join()
                self.home.up()
                self.assertIn("tared was restarted while its runner", self.wait_held(session))
                self.assert_held(session, 'the secret "key" is in "home/agent/slow"')
                harness.sigkill(self.home.program_pid("tared"))
                self.home.up()  # the next one comes to the same
                self.wait_held(session)
                self.remove_secret()
                self.wait_asleep(session)
                self.assertEqual(self.inside(session, "cat first second slow"),
                                 f"first\nsecond\n{secret}\n")
                self.assert_goes_on(session, "slow")
                self.home.must("canary", "add", "key", data=secret.encode())

    def test_one_that_is_held_ends_with_its_time(self):
        session = self.poisoned("timed", f"echo {self.secret()} >env", True, ("--timeout", "15s"))
        self.assert_reason(self.swap(session, "timed@2"), 73, f".*{session} is held")
        run = self.home.wait_ended(session)
        self.assertEqual(run["outcome"]["reason"], "timeout")
        self.assertRegex(run["outcome"]["message"], "limit time.*could not be kept: the secret")

    def test_the_launcher_that_dies_takes_one_that_is_held_along(self):
        """As any that is awake; and that is what is said of it."""
        secret = self.secret()
        sessions = [self.poisoned(name, f"echo {secret} >env", name == "before")
                    for name in ("after", "before")]
        for session, name in zip(sessions, ("after", "before")):
            self.assert_reason(self.swap(session, f"{name}@2"), 73, f".*{session} is held")
        harness.sigkill(self.home.program_pid("tare-launcher"))
        self.home.up()
        failed = self.home.wait_ended(sessions[0])
        self.assertEqual(failed["outcome"]["reason"], "launcher_lost")
        self.assertIn("could not be kept: the secret", failed["outcome"]["message"])
        self.wait_asleep(sessions[1])
        self.assertIn("could not be kept: the secret", json.dumps(self.home.inspect(sessions[1])))
        self.assertEqual(self.inside(sessions[1], "ls; cat first; sh /opt/tare/runner/main.sh"),
                         "first\nfirst\n1\n")
        self.home.must("session", "kill", sessions[1])


class HeldByAFullDisk(harness.SmallDiskTest):
    MEGABYTES = 192

    def test_one_for_which_there_is_no_room_sleeps_with_all_of_it_as_soon_as_there_is(self):
        """However long that takes: 45 s with TARE_MANY, until it is held without."""
        folder = Path(tempfile.mkdtemp(prefix="te-files-"))
        self.addCleanup(shutil.rmtree, folder)
        versions(self.home, folder, "large")
        session = self.home.must("session", "new", "--env", "host", "--runner", "large@1",
                                 "--disk", "64M").stdout.decode().strip()

        def inside(script):
            return self.home.tare("session", "exec", session, "--", "sh", "-c", script)

        inside("echo first >first; echo second >second; head -c 20000000 /dev/urandom >data")
        inside("touch poison")
        with self.filled(4 << 20):
            began = time.monotonic()
            swapped = self.home.tare("runner", "swap", session, "large@2")
            self.assertEqual(swapped.returncode, 73, swapped.stderr)
            self.assertRegex(swapped.stderr.decode(), "is held.*as soon as there is room")
            while MANY and time.monotonic() < began + 45:
                time.sleep(1)
            run = self.home.inspect(session)
            self.assertEqual(run["state"], "running", run)
            self.assertIn("as soon as there is room", run["held"])
            refused = inside("true")
            self.assertEqual(refused.returncode, 73, refused.stderr)
            self.assertIn("is held", refused.stderr.decode())
        harness.wait_until(lambda: self.home.inspect(session)["state"] == "hibernated", "its sleep")
        self.assertEqual(inside(f"{LOOK}; wc -c <data").stdout.decode(),
                         "first\nsecond\n1\nlarge@1\n20000000\n")
        self.home.must("session", "kill", session)


if __name__ == "__main__":
    unittest.main()
