"""Each process that takes part in giving a session another runner is killed before its system
calls, from the trial to the record, and in an exchange that fails and is done again.

Whoever dies: afterwards the session is there with its files, and with the old runner or the new
one, whole, as the answer of the swap said, and as its record says. A few calls of each, spread over
what it does; each call with TARE_KILL_MATRIX=full (`./dev test full`). The maker and its helper are
also refused calls: tests/kernel/swap_test.cpp. Here the database is: a full or a broken disk.
"""

import errno
import itertools
import os
import signal
import threading
import time
import unittest
from pathlib import Path

import harness
import layers
import stepper
import swaps

TRIES = 5
SETTLE_S = 0.3
# With these the thread of the database writes its log, and waits for the disk: of x86-64.
PWRITE64, FDATASYNC = 18, 75
DATABASE = {PWRITE64: errno.ENOSPC, FDATASYNC: errno.EIO}
# Fails where the file is: in memory, which no fresh sandbox has.
HANDSHAKE = "test ! -e /dev/shm/poison && echo '{\"tare_runner\":1}'\n"
LOOK = "sh /opt/tare/runner/main.sh; cat /opt/tare/runner/again; echo $TARE_RUNNER; cat file; " \
       "test -e /dev/shm/mark && echo same || echo fresh"


def parent_of(pid):
    """0: it is gone."""
    fields = harness.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def children_of(*parents):
    return [pid for pid in harness.pids() if parent_of(pid) in parents]


def is_init(pid):
    """Of a PID namespace of its own."""
    return harness.status_of(pid).get("NSpid", "").split()[-1:] == ["1"]


class SwapFaults(layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [swaps.box()]}
    numbers = itertools.count(1)

    def add(self, handshake=HANDSHAKE):
        """A version that was never tried. Its files all say which one they are of."""
        version = str(next(self.numbers))
        swaps.add_runner(self.home, self.folder, "stepped", version, {
            "handshake.sh": handshake, "main.sh": f"echo {version}\n", "again": f"{version}\n"})
        return f"stepped@{version}"

    def session(self, runner, slept=True):
        """One that has slept, and so outlives a launcher, or has not; its id, and its tare-init."""
        made = self.home.must("session", "new", "--env", "box", "--runner", runner)
        session = made.stdout.decode().strip()
        self.inside(session, "echo kept >file")
        if slept:
            self.home.must("session", "hibernate", session)
        self.inside(session, ": >/dev/shm/mark; (sleep 1000 >/dev/null 2>&1 &)")
        sleeper = harness.wait_until(
            lambda: next(filter(self.is_sleeper, harness.pids()), None), "its program")
        return session, parent_of(sleeper)

    def is_sleeper(self, pid):
        if harness.read_text(f"/proc/{pid}/cmdline") != "sleep\0001000\000":
            return False
        return parent_of(parent_of(pid)) == self.home.program_pid("tare-launcher")

    def inside(self, session, script):
        return self.home.must("session", "exec", session, "--", "sh", "-c",
                              script).stdout.decode()

    # ---- who takes part

    def tared(self, _):
        return [self.home.program_pid("tared")]

    def launcher(self, _):
        return [self.home.program_pid("tare-launcher")]

    def store(self, _):
        return [self.home.program_pid("tare-store")]

    def makers(self, _):
        return [pid for pid in children_of(*self.launcher(0)) if not is_init(pid)]

    def own_init(self, init):
        return [init]

    # ---- one of them dies

    def one(self, who, poisoned, kill_before, slept=True):
        """A swap in which one of those is killed before that call (0: never). How many calls they
        made, and what became of the session."""
        old, new = self.add(), self.add()
        session, init = self.session(old, slept)
        if poisoned:
            self.inside(session, ": >/dev/shm/poison")
        time.sleep(SETTLE_S)  # the pool is being filled
        answers = []
        traced = stepper.Stepper(*who(init), mortal=True)
        client = threading.Thread(target=self.swap, args=(session, new, answers))
        client.start()
        killed = traced.run_until(lambda: not client.is_alive(), kill_before)
        if killed and who in (self.tared, self.launcher, self.store):
            self.home.up()
        client.join()
        if killed and who == self.launcher and not slept and self.has_failed(session):
            return traced.calls, "failed"
        fate = self.judge(session, init, old, new, answers, who)
        return traced.calls, fate if killed or not kill_before else f"({fate})"

    def has_failed(self, session):
        """It ended with its launcher, once, and says so; or was on record as asleep before that."""
        def settled():
            run = self.home.inspect(session)
            return run if run["state"] in ("failed", "hibernated") else None

        seen = harness.wait_until(settled, "its end, or its sleep")
        types = [event["type"] for event in seen["events"]]
        slept = "hibernated" in types
        self.assertEqual(seen["state"], "hibernated" if slept else "failed", seen)
        self.assertEqual(types.count("ended"), 0 if slept else 1, types)
        if slept:
            return False
        self.assertEqual(seen["outcome"]["reason"], "launcher_lost", seen)
        self.assert_reason(self.home.tare("session", "exec", session, "--", "true"), 73,
                           f".*run {session} has ended .failed")
        self.assertNotIn(session, self.home.must("session", "list").stdout.decode())
        return True

    def swap(self, session, version, answers):
        try:
            answers.append(self.home.request("POST", f"/v1/sessions/{session}/runner",
                                             {"runner": version}))
        except (OSError, harness.http.client.HTTPException):
            pass  # tared died

    def is_whole(self, session, old, new):
        """The runner that it has on record is the one that is mounted, all of it: (that, whether
        its sandbox is a fresh one)."""
        seen = self.inside(session, LOOK).split()
        has = self.home.request("GET", f"/v1/sessions/{session}").json.get("runner") or old
        self.assertIn(has, (old, new))
        number = has.rpartition("@")[2]
        self.assertEqual(seen[:4], [number, number, has, "kept"])
        return has, seen[4] != "same"

    def judge(self, session, init, old, new, answers, dead=None):
        untouched = Path(f"/proc/{init}").exists() and any(map(self.is_sleeper, children_of(init)))
        has, fresh = self.is_whole(session, old, new)
        if answers:
            self.assertEqual(has, new if answers[0].status == 200 else old, answers[0].body)
        if answers and "no good in this environment" in str(answers[0].body):
            self.assertTrue(untouched or dead == self.launcher)
        self.home.must("session", "kill", session)
        return ("new" if has == new else "old") + ("+fresh" if fresh else "")

    def matrix(self, who, poisoned=False, slept=True):
        counts = [self.one(who, poisoned, 0, slept) for _ in range(2)]
        for _, fate in counts:
            self.assertEqual(fate, "new+fresh" if poisoned else "new")
        count = min(counts)[0]
        fates, tried = [], stepper.some(count, TRIES)
        for number in tried:
            with self.subTest(call=number):
                fates.append(self.one(who, poisoned, number, slept)[1])
        # In brackets: it was through before it came to that call.
        print(f"{who.__name__}: {count} calls; killed before {len(fates)}: {' '.join(fates)}")
        met = sum(fate[0] != "(" for fate in fates)
        stepper.assert_swept(self, who.__name__, count, tried, met)
        return fates

    def test_tared_dies(self):
        self.assertIn("old", " ".join(self.matrix(self.tared)))

    def test_the_launcher_dies(self):
        fates = self.matrix(self.launcher)
        self.assertLessEqual({fate for fate in fates if fate[0] != "("},
                             {"old+fresh", "new+fresh"})
        self.assertIn("old+fresh", fates)

    def test_the_launcher_dies_and_the_session_never_slept(self):
        """docs/sessions.md: it fails, and says so."""
        fates = self.matrix(self.launcher, slept=False)
        self.assertEqual({fate for fate in fates if fate[0] != "("}, {"failed"})

    def test_the_launcher_dies_while_it_is_done_again_and_the_session_never_slept(self):
        """What it had written is on record before it is done again: from there on it sleeps on."""
        fates = {fate for fate in self.matrix(self.launcher, poisoned=True, slept=False)
                 if fate[0] != "("}
        self.assertIn("failed", fates)
        self.assertTrue(fates & {"old+fresh", "new+fresh"}, fates)

    def test_a_maker_dies(self):
        """Of the trial's sandbox, of one for the pool, or the one that exchanges."""
        self.matrix(self.makers)

    def test_the_sessions_own_init_dies(self):
        """The work is done again in a fresh sandbox, but where it was before its sandbox stood."""
        fates = self.matrix(self.own_init)
        self.assertIn("new+fresh", fates)

    def test_what_belongs_to_the_trial_dies_while_it_runs(self):
        """Its launch, call by call, is that of any run: tests/kernel/kill_matrix_test.cpp."""
        for which in ("the program", "its tare-init"):
            old, new = self.add(), self.add("sleep 30; " + HANDSHAKE)
            session, init = self.session(old)
            answers = []
            client = threading.Thread(target=self.swap, args=(session, new, answers))
            client.start()
            program = harness.wait_until(self.trial, "the trial")
            os.kill(program if which == "the program" else parent_of(program), signal.SIGKILL)
            client.join()
            self.assertEqual(answers[0].status, 409, which)
            self.assertIn("no good in this environment", str(answers[0].body))
            self.assertEqual(self.judge(session, init, old, new, answers), "old")

    def trial(self):
        for pid in harness.pids():
            if harness.read_text(f"/proc/{pid}/cmdline").startswith("sh\0/opt/tare/runner/handsh"):
                if parent_of(parent_of(pid)) == self.home.program_pid("tare-launcher"):
                    return pid
        return None

    def test_the_store_takes_no_part(self):
        calls, fate = self.one(self.store, False, 0)
        self.assertLessEqual(calls, 1)  # the one that it waited in
        self.assertEqual(fate, "new")

    def test_tared_dies_while_it_is_done_again(self):
        self.matrix(self.tared, poisoned=True)

    def test_the_launcher_dies_while_it_is_done_again(self):
        self.matrix(self.launcher, poisoned=True)

    def test_the_store_dies_while_it_keeps_what_the_session_has_written(self):
        self.matrix(self.store, poisoned=True)

    # ---- its database refuses

    def refused(self, which, lasting):
        """A swap in which that call of the database's (0: none) fails, or all from there on until
        there is an answer. How many calls there were, and what became of the session."""
        old, new = self.add(), self.add()
        session, _ = self.session(old, slept=False)
        for version in (new, old):  # both have been tried: nothing but the exchange writes
            self.assertEqual(self.home.request("POST", f"/v1/sessions/{session}/runner",
                                               {"runner": version}).status, 200)
        self.inside(session, ": >/dev/shm/mark")
        time.sleep(SETTLE_S)
        answers = []
        traced = stepper.Stepper(self.home.program_pid("tared"))
        client = threading.Thread(target=self.swap, args=(session, new, answers))
        client.start()
        traced.run_refusing(lambda: not client.is_alive(), DATABASE, which, lasting,
                            of=lambda tid: traced.name_of(tid) == "tare-sql")
        client.join()
        answer, = answers
        if which:
            self.assertIn(traced.refused, DATABASE)
        harness.wait_until(lambda: self.home.inspect(session)["state"] in ("running", "hibernated"),
                           "it has settled")
        has, fresh = self.is_whole(session, old, new)
        self.assertEqual(has, new if answer.status == 200 else old, answer.body)
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()
        self.assertEqual(self.is_whole(session, old, new)[0], has)
        self.assertEqual(self.home.request("POST", f"/v1/sessions/{session}/runner",
                                           {"runner": new}).status, 200)
        self.assertEqual(self.is_whole(session, old, new)[0], new)
        self.home.must("session", "kill", session)
        return traced.calls, (has == new, fresh, answer.status)

    def test_a_write_of_the_database_that_is_refused_leaves_one_whole_runner(self):
        """Announced: nothing has happened. Confirmed: it is done again in a fresh sandbox."""
        count, fate = self.refused(0, False)
        self.assertEqual(fate, (True, False, 200))
        fates = []
        for which in range(1, count + 1):
            with self.subTest(call=which):
                fates.append(self.refused(which, False)[1])
        print(f"database: {count} calls of a swap: {fates}")
        self.assertEqual(fates[0][:2], (False, False))  # its announcement
        self.assertNotEqual(fates[0][2], 200)
        self.assertEqual(fates[-1], (True, True, 200))  # its confirmation

    def test_a_disk_that_stays_full_costs_a_session_no_file(self):
        """One that has never slept: what it has written is recorded as soon as there is room."""
        count = self.refused(0, True)[0]
        for which, fresh in ((1, False), (count // 2 + 1, True), (count, True)):
            with self.subTest(call=which):
                changed, seen_fresh, status = self.refused(which, True)[1]
                self.assertNotEqual(status, 200)
                self.assertEqual((changed, seen_fresh), (False, fresh))


if __name__ == "__main__":
    unittest.main()
