"""System calls that the sandbox refuses: named in the run's events, on `tare run`'s stderr, and
counted in its usage, also across a tared that was killed."""

import unittest

import harness

CALLS = """
import ctypes, sys, time
libc = ctypes.CDLL(None)
def call(number, times):
    for _ in range(times): libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0)
"""
PTRACE, MOUNT = 101, 165


class Denied(harness.TareTest):
    def denied(self, run):
        return [(event["call"], event["count"], event["message"])
                for event in self.home.inspect(run)["events"] if event["type"] == "denied"]

    def test_a_run_says_what_it_was_refused(self):
        script = CALLS + f"call({PTRACE}, 3); call({MOUNT}, 1); sys.exit(3)"
        result = self.home.host("python3", "-c", script)
        self.assertEqual(result.returncode, 3)
        self.assertEqual(result.stderr.decode(), "tare: denied: mount, ptrace (3 times)\n")
        run = self.home.request("GET", "/v1/runs?limit=1").json["runs"][0]
        self.assertEqual(run["usage"]["denied_calls"], 4)
        told = self.denied(run["id"])
        self.assertEqual(told[-1], ("ptrace", 3, "ptrace (3 times)"))
        self.assertIn(("mount", 1, "mount"), told)
        self.assertLessEqual(len(told), 3)
        types = [event["type"] for event in self.home.inspect(run["id"])["events"]]
        self.assertEqual(types[:3], ["created", "launching", "started"])
        self.assertEqual(types[-1], "ended")

    def test_who_is_refused_nothing_hears_nothing_of_it(self):
        result = self.home.host("python3", "-c", CALLS)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_twenty_thousand_refusals_are_two_events(self):
        script = CALLS + f"call({PTRACE}, 20000)"
        result = self.home.host("python3", "-c", script)
        self.assertEqual(result.stderr.decode(), "tare: denied: ptrace (20000 times)\n")
        run = self.home.request("GET", "/v1/runs?limit=1").json["runs"][0]["id"]
        self.assertLessEqual(len(self.denied(run)), 2)

    def test_nothing_is_lost_or_told_twice_when_tared_is_killed(self):
        script = CALLS + f"call({PTRACE}, 1); time.sleep(3); call({PTRACE}, 2)"
        run = self.home.detached("python3", "-c", script)
        harness.wait_until(lambda: self.denied(run), "the first refusal")
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()
        self.home.wait_ended(run)
        told = self.denied(run)
        self.assertEqual([count for _, count, _ in told], [1, 3])
        self.assertEqual(self.home.inspect(run)["usage"]["denied_calls"], 3)


if __name__ == "__main__":
    unittest.main()
