"""SIGKILL of tared before any of its system calls in the life of a run: after its restart there is
exactly one end, the true one, of a program that was executed once, and no orphan.

A few calls, spread over the life; each of them with TARE_KILL_MATRIX=full (`./dev test full`).
"""

import threading
import unittest
import uuid

import harness
import stepper

TRIES = 8
WISH = {"environment": "host", "argv": ["sh", "-c", "echo out; echo err >&2; exit 7"]}


class Client(threading.Thread):
    """Posts the run, follows its output and looks at it, until tared dies on it."""

    def __init__(self, home, key):
        super().__init__()
        self.home, self.key, self.run_id, self.end = home, key, None, None
        self.start()

    def run(self):
        try:
            answer = self.home.request("POST", "/v1/runs", {**WISH, "idempotency_key": self.key})
            self.run_id = answer.json["id"]
            self.home.request("GET", f"/v1/runs/{self.run_id}/logs?follow=true")
            self.end = self.home.request("GET", f"/v1/runs/{self.run_id}").json
        except (OSError, ValueError, KeyError, harness.http.client.HTTPException):
            pass  # it was killed


class TaredMatrix(harness.TareTest):
    def one(self, kill_before):
        """A run whose tared is killed before that call (0: never). How many calls it made."""
        client_key = f"{kill_before}-{uuid.uuid4()}"
        traced = stepper.Stepper(self.home.program_pid("tared"))
        client = Client(self.home, client_key)
        killed = traced.run_until(lambda: not client.is_alive(), kill_before)
        client.join()
        if killed:
            self.home.up()
            again = {**WISH, "idempotency_key": client_key}
            run = self.home.request("POST", "/v1/runs", again).json["id"]
            if client.run_id is not None:
                self.assertEqual(run, client.run_id, "an acknowledged run was forgotten")
        else:
            run = client.run_id
        self.assert_one_true_end(self.home.wait_ended(run))
        same = [r for r in self.home.request("GET", "/v1/runs?limit=1000").json["runs"]
                if r["request"]["idempotency_key"] == client_key]
        self.assertEqual(len(same), 1)
        return traced.calls

    def test_sigkill_of_tared_before_a_call_of_a_runs_life_gives_one_true_end(self):
        self.home.host("true")  # what is done once is done
        count = self.one(0)
        tries = stepper.some(count, TRIES)
        print(f"tared: {count} system calls in the life of a run; killed before {len(tries)}")
        for number in tries:
            with self.subTest(call=number):
                self.one(number)
        harness.wait_until(lambda: not self.home.programs(), "the end of all programs")
        self.assertEqual(self.home.host("echo", "fine").stdout, b"fine\n")


if __name__ == "__main__":
    unittest.main()
