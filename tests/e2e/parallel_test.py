"""Many runs at once through the API: each comes back right, nothing is left behind."""

import base64
import concurrent.futures
import json
import unittest

import harness
from api_test import END, STDERR, STDOUT, frames

RUNS = 200
CLIENTS = 50  # threads that start and await them


class Parallel(harness.TareTest):
    def one(self, number):
        """Starts run `number` and awaits it; (status, stdout, stderr, artifact)."""
        script = "echo out $1; echo err $1 >&2; echo $1 >/output/n; exit $1"
        wish = {"environment": "host", "argv": ["sh", "-c", script, "sh", str(number)],
                "limits": {"memory_bytes": 32 << 20, "disk_bytes": 4 << 20, "pids": 16}}
        run = self.home.request("POST", "/v1/runs", wish).json["id"]
        log = frames(self.home.request("GET", f"/v1/runs/{run}/logs?follow=true").body)
        kind, payload = log[-1]
        self.assertEqual(kind, END)
        path = base64.urlsafe_b64encode(b"n").decode().rstrip("=")
        kept = self.home.request("GET", f"/v1/runs/{run}/artifacts/content?path_base64={path}")
        return (json.loads(payload)["outcome"], b"".join(p for k, p in log if k == STDOUT),
                b"".join(p for k, p in log if k == STDERR), kept.body)

    def test_200_runs_at_once_all_come_back_right(self):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            results = list(clients.map(self.one, range(RUNS)))
        for number, (outcome, out, err, kept) in enumerate(results):
            self.assertEqual((outcome["reason"], outcome["exit_code"]), ("exited", number))
            self.assertEqual((out, err, kept), (f"out {number}\n".encode(),
                                                f"err {number}\n".encode(),
                                                f"{number}\n".encode()))
        # One that is being made for the pool has no name of ours for a moment.
        harness.wait_until(lambda: not self.home.programs(), "no program to be left")

    def test_200_runs_that_live_at_the_same_time_are_ended_by_down(self):
        wish = {"environment": "host", "argv": ["sleep", "1000"],
                "limits": {"memory_bytes": 16 << 20, "disk_bytes": 4 << 20}}
        for _ in range(RUNS):
            self.assertEqual(self.home.request("POST", "/v1/runs", wish).status, 202)
        harness.wait_until(lambda: len(self.home.request(
            "GET", "/v1/runs?state=running&limit=1000").json["runs"]) >= RUNS // 4, "their start")
        self.home.down()
        harness.wait_until(lambda: not self.home.leaks(), "the end of everything")
        self.home.up()
        self.assertEqual(self.home.request("GET", "/v1/runs?state=active").json["runs"], [])


if __name__ == "__main__":
    unittest.main()
