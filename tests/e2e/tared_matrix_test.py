"""SIGKILL of tared before any of its system calls in the life of a run, of an exec, of a session,
and while a file is written into one: after its restart each has exactly one end, the true one, and
no orphan is left.

How often a program is executed (docs/decisions/0011):
- One whose client was told of it: exactly once. It has a row on the disk, which says so.
- One whose client was told nothing, and asks again with its key, is what it was or a new run.
  Before that another program may have begun, whose run nobody knows: at most one, of which nothing
  is left.
- An exec: at most once, and exactly once if its client was told of it.
The launcher's log tells which runs it has started; an exec leaves a line in a file of its session.

A few calls, spread over each life; each of them with TARE_KILL_MATRIX=full (`./dev test full`).
"""

import json
import threading
import unittest
import uuid

import harness
import stepper

TRIES = 8
LEAST_CALLS = 40
SAID = "echo out; echo err >&2; exit 7"
BODY = b"n" * 300_000


class Client(threading.Thread):
    """Asks for what makes up a life, one after the other, until tared dies on it."""

    def __init__(self, work):
        super().__init__()
        self.work, self.refused = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except (OSError, ValueError, KeyError, harness.http.client.HTTPException):
            pass  # it was killed
        except AssertionError as refused:
            self.refused = refused


class Life:
    """One thing that is asked of tared: `told` is what its client knows of it."""

    def __init__(self, test):
        self.test, self.home, self.told = test, test.home, None

    def request(self, *arguments):
        answer = self.home.request(*arguments)
        if answer.status >= 300:
            raise AssertionError(f"{arguments}: {answer.status}: {answer.body}")
        return answer


class Run(Life):
    """Posts a run, follows its output and looks at it."""

    def __init__(self, test):
        super().__init__(test)
        self.key = str(uuid.uuid4())
        self.wish = {"environment": "host", "idempotency_key": self.key,
                     "argv": ["sh", "-c", SAID]}

    def work(self):
        self.told = self.request("POST", "/v1/runs", self.wish).json["id"]
        self.request("GET", f"/v1/runs/{self.told}/logs?follow=true")
        self.request("GET", f"/v1/runs/{self.told}")

    def judge(self, killed):
        run = self.request("POST", "/v1/runs", self.wish).json["id"] if killed else self.told
        if self.told is not None:
            self.test.assertEqual(run, self.told, "an acknowledged run was forgotten")
        self.test.assert_one_true_end(self.home.wait_ended(run))
        same = [r for r in self.request("GET", "/v1/runs?limit=1000").json["runs"]
                if r["request"].get("idempotency_key") == self.key]
        self.test.assertEqual(len(same), 1)
        # Those that were never told of: of one that began, or was still to begin, nothing is left.
        begun = [r for r in self.test.started_since() if r != run]
        self.test.assertLessEqual(len(begun), 1 if killed and self.told is None else 0, begun)
        for lost in begun:
            self.test.assertEqual(self.home.request("GET", f"/v1/runs/{lost}").status, 404)


class InSession(Life):
    """In a session that lives through all of it."""

    def __init__(self, test):
        super().__init__(test)
        self.api = f"/v1/runs/{test.session}"
        self.sh = test.sh


class Exec(InSession):
    """Counts its executions in a file of its own."""

    def __init__(self, test):
        super().__init__(test)
        self.file = f"count-{uuid.uuid4()}"
        self.wish = {"argv": ["sh", "-c", f"echo once >>{self.file}; {SAID}"]}

    def work(self):
        number = self.request("POST", f"{self.api}/execs", self.wish).json["number"]
        self.told = number
        self.request("GET", f"{self.api}/execs/{number}/logs?follow=true")
        self.request("GET", f"{self.api}/execs/{number}")

    def judge(self, killed):
        mine = [one["number"] for one in self.request("GET", f"{self.api}/execs").json["execs"]
                if self.file in one["request"]["argv"][-1]]
        self.test.assertLessEqual(len(mine), 1)
        if self.told is not None:
            self.test.assertEqual(mine, [self.told], "an acknowledged exec was forgotten")
        ends = [harness.wait_until(lambda number=number: self.ended(number), "the exec's end")
                for number in mine]
        times = self.sh(f"cat {self.file} 2>/dev/null || true").count("once")
        exited = [end for end in ends if end["reason"] == "exited"]
        self.test.assertEqual(times, len(exited), ends)
        for number, end in zip(mine, ends):
            self.judge_end(number, end)

    def ended(self, number):
        one = self.request("GET", f"{self.api}/execs/{number}").json
        return one["outcome"] if one["state"] == "ended" else None

    def judge_end(self, number, end):
        if end["reason"] == "exited":
            self.test.assertEqual(end["exit_code"], 7)
            logs = self.request("GET", f"{self.api}/execs/{number}/logs").body
            self.test.assertIn(b"out\n", logs)
            self.test.assertIn(b"err\n", logs)
            return
        # The launcher never got it. Nobody was told that it would run.
        self.test.assertIsNone(self.told, end)
        self.test.assertEqual(end["reason"], "setup_failed", end)
        self.test.assertIn("not told of it", end["message"])


class Session(Life):
    """From its making to its end, with an exec in between."""

    def __init__(self, test):
        super().__init__(test)
        self.wish = {"environment": "host", "idempotency_key": str(uuid.uuid4())}

    def work(self):
        self.told = self.request("POST", "/v1/sessions", self.wish).json["id"]
        self.request("POST", f"/v1/runs/{self.told}/execs", {"argv": ["true"]})
        self.request("DELETE", f"/v1/sessions/{self.told}")
        self.request("GET", f"/v1/runs/{self.told}/wait")

    def judge(self, killed):
        session = self.told
        if killed:
            session = self.request("POST", "/v1/sessions", self.wish).json["id"]
        if self.told is not None:
            self.test.assertEqual(session, self.told, "an acknowledged session was forgotten")
        harness.wait_until(
            lambda: self.home.inspect(session)["state"] not in ("queued", "starting"), "its start")
        if not harness.ended(self.home.inspect(session)):
            self.home.tare("session", "kill", session)  # it may be at its end
        run = self.home.wait_ended(session)
        types = [event["type"] for event in run["events"]]
        self.test.assertEqual((types.count("launching"), types.count("ended")), (1, 1), types)
        self.test.assertEqual((run["state"], run["outcome"]["reason"]), ("cancelled", "killed"))
        # It was killed when it had started: one that had not may end as killed without.
        self.test.assertEqual(self.test.starts_of(session), 1, run["events"])
        execs = self.request("GET", f"/v1/runs/{session}/execs").json["execs"]
        self.test.assertTrue(all(one["state"] == "ended" for one in execs), execs)


class Put(InSession):
    """Takes the place of a file."""

    def __init__(self, test):
        super().__init__(test)
        self.sh("mkdir -p put; rm -f put/.tare-* put/*; echo old >put/file")

    def work(self):
        self.request("PUT", f"{self.api}/files/content?path=put/file", BODY)
        self.told = True

    def judge(self, killed):
        # Its tare-files is not killed: it ends by itself, as nobody is at its pipes.
        harness.wait_until(lambda: not self.test.files_at_work(), "the end of tare-files")
        self.test.assertEqual(self.sh("ls -A put"), "file\n")
        size = int(self.sh("wc -c <put/file"))
        self.test.assertIn(size, (4, len(BODY)))
        if self.told:
            self.test.assertEqual(size, len(BODY), "what was acknowledged is not there")
        self.request("GET", f"{self.api}/files/list?path=put")


class TaredMatrix(harness.TareTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.session = cls.home.must("session", "new").stdout.decode().strip()

    def setUp(self):
        super().setUp()
        self.home.host("true")  # what is done once is done

    def sh(self, script):
        return self.home.must("session", "exec", self.session, "--", "sh", "-c",
                              script).stdout.decode()

    def files_at_work(self):
        return [pid for pid in self.home.sandboxed()
                if harness.read_text(f"/proc/{pid}/comm") == "tare-files\n"]

    def log_lines(self):
        return harness.read_text(self.home.path / "log/tare-launcher.log").splitlines()

    def started_since(self):
        """The runs that the launcher has started in this life."""
        return [json.loads(line)["run"] for line in self.log_lines()[self.before:]
                if "sandbox started" in line]

    def one(self, kind, kill_before):
        """A life whose tared is killed before that call (0: never). How many calls it made, and
        was it killed?"""
        life = kind(self)
        self.before = len(self.log_lines())
        traced = stepper.Stepper(self.home.program_pid("tared"))
        client = Client(life.work)
        killed = traced.run_until(lambda: not client.is_alive(), kill_before)
        client.join()
        if killed:
            self.home.up()
        self.assertIsNone(client.refused)
        life.judge(killed)
        return traced.calls, killed

    def matrix(self, kind):
        count = min(self.one(kind, 0) for _ in range(2))[0]
        tries, killed = stepper.some(count, TRIES), 0
        for number in tries:
            with self.subTest(call=number):
                killed += self.one(kind, number)[1]
        print(f"tared: {count} system calls in the life of a {kind.__name__.lower()}; killed "
              f"before {killed} of {len(tries)}")
        stepper.assert_swept(self, kind.__name__, count, tries, killed, LEAST_CALLS)
        self.assertEqual(self.home.host("echo", "fine").stdout, b"fine\n")
        harness.wait_until(lambda: not self.home.programs(), "the end of all programs")

    def test_sigkill_of_tared_before_a_call_of_a_runs_life_gives_one_true_end(self):
        self.matrix(Run)

    def test_sigkill_of_tared_before_a_call_of_an_execs_life_gives_one_true_end(self):
        self.matrix(Exec)

    def test_sigkill_of_tared_before_a_call_of_a_sessions_life_gives_one_true_end(self):
        self.matrix(Session)

    def test_sigkill_of_tared_before_a_call_of_a_put_leaves_the_old_or_the_new_file(self):
        self.matrix(Put)


if __name__ == "__main__":
    unittest.main()
