"""A live session gets another version of its runner: whole, or not at all, or its sandbox goes."""

import concurrent.futures
import contextlib
import json
import os
import random
import signal
import threading
import time
import unittest

import harness
import swaps


class Swap(swaps.SwapTest):
    def test_files_stay_programs_end_and_what_comes_has_the_new_one(self):
        self.add("plain", "1", {"main.sh": "echo one\n"})
        session = self.session("plain")
        self.inside(session, "echo kept >file; (sleep 1000 &)")
        self.add("plain", "2", {"main.sh": "echo two\n"})
        old = self.home.popen("session", "exec", session, "--", "sleep", "1000")
        time.sleep(0.2)
        swapped = self.swap(session)
        self.assertEqual((swapped.returncode, swapped.stdout), (0, b"plain@2\n"), swapped.stderr)
        old.communicate(timeout=60)
        self.assertEqual(old.returncode, 137)
        self.assertEqual(self.inside(session, "cat file; sh /opt/tare/runner/main.sh; "
                                     "echo $TARE_RUNNER; pgrep sleep | wc -l"),
                         "kept\ntwo\nplain@2\n0\n")
        self.assertEqual(self.runner_of(session), "plain@2")
        self.assertEqual(self.swap(session, "plain@1").returncode, 0)
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh"), "one\n")
        self.home.must("session", "kill", session)  # its record stays
        self.home.must("runner", "rm", "plain@1", "plain@2")

    def test_a_restarted_tared_knows_what_a_session_has(self):
        self.add("kept", "1", {"main.sh": "echo one\n"})
        session = self.session("kept")
        self.add("kept", "2", {"main.sh": "echo two\n"})
        self.assertEqual(self.swap(session, "kept@2").returncode, 0)
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh; echo $TARE_RUNNER"),
                         "two\nkept@2\n")
        self.assertEqual(self.runner_of(session), "kept@2")
        self.assert_reason(self.home.tare("runner", "rm", "kept@2"), 73, f".*in use by {session}")
        self.home.must("session", "kill", session)

    def test_one_that_is_no_good_here_is_refused_and_nothing_has_happened(self):
        self.add("judged", "1", {"main.sh": "echo one\n"})
        session = self.session("judged")
        lives = self.home.popen("session", "exec", session, "--", "sh", "-c", "sleep 3; echo done")
        refusals = (("fails", ["sh", "-c", "exit 3"], "5s", "with status 3"),
                    ("absent", ["no-such-program"], "5s", "not found"),
                    ("rubbish", ["echo", "hello"], "5s", "no JSON"),
                    ("newer", ["echo", '{"tare_runner":9}'], "5s", "speaks protocol 9"),
                    ("two-lines", ["printf", '{"tare_runner":1}\\n{}\\n'], "5s", "one line"),
                    ("hangs", ["sleep", "100"], "300ms", "handshake"))
        for version, handshake, seconds, why in refusals:
            self.add("judged", version, {"main.sh": "echo bad\n"}, handshake, seconds)
            self.assert_reason(self.swap(session, f"judged@{version}"), 73,
                               f".*judged@{version} is no good in this environment.*{why}")
        self.assert_reason(self.swap(session, "nobody@1"), 64, ".*the session has judged")
        out, _ = lives.communicate(timeout=60)
        self.assertEqual((lives.returncode, out), (0, b"done\n"))
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh"), "one\n")
        run = self.home.detached("sleep", "1000")
        self.assert_reason(self.swap(run, "judged@1"), 66, ".*not a session")
        self.home.must("kill", run)
        self.home.must("session", "kill", session)

    def test_one_that_does_not_answer_inside_costs_the_sandbox_but_no_file(self):
        self.add("poisoned", "1", {"main.sh": "echo one\n"})
        session = self.session("poisoned")
        self.inside(session, "touch poison; echo kept >file; (sleep 1000 &)")
        self.add("poisoned", "2", {"main.sh": "echo two\n"})
        self.assert_reason(self.swap(session, "poisoned@2"), 73,
                           f".*{session}: its runner could not.*fresh one with poisoned@1")
        self.assertEqual(self.home.inspect(session)["state"], "hibernated")
        self.assertIn("handshake", json.dumps(self.home.inspect(session)["events"]))
        asked = "cat file; sh /opt/tare/runner/main.sh; echo $TARE_RUNNER; pgrep sleep | wc -l"
        self.assertEqual(self.inside(session, asked), "kept\none\npoisoned@1\n0\n")
        self.inside(session, "rm poison")
        self.assertEqual(self.swap(session, "poisoned@2").returncode, 0)
        self.assertEqual(self.inside(session, asked), "kept\ntwo\npoisoned@2\n0\n")
        self.home.must("session", "kill", session)

    def trials(self, word="handshake"):
        """How many handshakes were made in scratch sandboxes so far."""
        runs = self.home.request("GET", "/v1/runs?limit=500").json["runs"]
        return sum(word in " ".join(run["request"]["argv"]) for run in runs)

    def test_what_was_tried_is_not_tried_again(self):
        for version in "12":
            self.add("tried", version, {"main.sh": f"echo {version}\n"})
        first = self.session("tried@1")
        before = self.trials()
        for version in "2121":
            self.assertEqual(self.swap(first, f"tried@{version}").returncode, 0)
        self.assertEqual(self.trials() - before, 2)
        second = self.session("tried@1")  # another session in the same environment
        self.assertEqual(self.swap(second, "tried@2").returncode, 0)
        self.assertEqual(self.trials() - before, 2)
        third = self.session("tried@1", "-e", "LANG=C")  # with other variables
        self.assertEqual(self.swap(third, "tried@2").returncode, 0)
        self.assertEqual(self.trials() - before, 3)
        # Where the program comes from cannot be told: it is tried each time.
        fourth = self.session("tried@1", "-e", "PATH=bin:/usr/bin:/bin")
        for version in "212":
            self.assertEqual(self.swap(fourth, f"tried@{version}").returncode, 0)
        self.assertEqual(self.trials() - before, 6)
        for each in (first, second, third, fourth):
            self.home.must("session", "kill", each)

    def test_one_that_is_added_is_tried_ahead_where_a_session_could_be_given_it(self):
        self.add("early", "1", {"main.sh": "echo one\n"})
        self.add("other", "1", {"main.sh": "echo one\n"})
        session = self.session("early@1")
        elsewhere = self.session("other@1")
        def runs():
            return {run["id"]: run["state"] for run in self.home.request(
                "GET", "/v1/runs?limit=500").json["runs"] if not run["request"]["session"]}

        before, known = self.trials(), set(runs())
        self.add("early", "2", {"main.sh": "echo two\n"})
        harness.wait_until(lambda: self.trials() == before + 1, "a trial")
        # Not those of other tests, of which some fail.
        harness.wait_until(lambda: {state for run, state in runs().items() if run not in known}
                           == {"succeeded"}, "its end")
        self.assertEqual(self.swap(session).returncode, 0)
        self.assertEqual(self.trials(), before + 1)
        for each in (session, elsewhere):
            self.home.must("session", "kill", each)

    def test_a_trial_holds_no_tared_up(self):
        self.add("slow", "1", {"main.sh": "echo one\n"})
        self.session("slow")
        before = self.trials("sleep")
        self.add("slow", "2", {"main.sh": "echo two\n"}, ["sleep", "50"], "60s")
        harness.wait_until(lambda: self.trials("sleep") > before, "the trial")
        down = self.home.tare("down")
        self.home.up()
        self.assertNotIn(b"did not end", down.stdout + down.stderr)

    def test_a_failed_exchange_is_done_again_in_a_fresh_sandbox(self):
        """What makes the handshake fail inside is gone with the sandbox; a program that waits for
        the exchange waits for that, too."""
        handshake = "sleep 0.5; test ! -e /dev/shm/poison && echo '{\"tare_runner\":1}'"
        for version in "12":
            self.add("again", version, {"main.sh": f"echo {version}\n"}, ["sh", "-c", handshake])
        session = self.session("again@1")
        self.inside(session, "echo kept >file; touch /dev/shm/poison")
        seen = []
        swapping = threading.Thread(target=lambda: seen.append(self.swap(session, "again@2")))
        swapping.start()
        harness.wait_until(lambda: "discarded" in self.tared_log(), "the first one to fail")
        self.assertEqual(self.inside(session, "cat file; sh /opt/tare/runner/main.sh; "
                                     "echo $TARE_RUNNER"), "kept\n2\nagain@2\n")
        swapping.join()
        self.assertEqual((seen[0].returncode, seen[0].stdout), (0, b"again@2\n"), seen[0].stderr)
        self.assertEqual(self.runner_of(session), "again@2")
        self.assertIn("its runner could not be changed", json.dumps(self.home.inspect(session)))
        self.home.must("session", "kill", session)

    def tared_log(self):
        return (self.home.path / "log" / "tared.log").read_text()

    def test_an_isolated_handshake_is_made_inside_only_where_its_answer_may_be_another(self):
        """The handshake of these fails in any session with a file; the trial does not see it."""
        script = ["sh", "-c", "test ! -e /home/agent/file && echo '{\"tare_runner\":1}'"]
        for version in "12":
            self.add("alone", version, {"main.sh": f"echo {version}\n"}, script,
                     more="isolated_handshake = true")
        session = self.session("alone@1")
        self.inside(session, "touch file")
        self.assertEqual(self.swap(session, "alone@2").returncode, 0)
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh"), "2\n")
        self.home.must("session", "hibernate", session)  # what it has changed counts then, too
        self.assertEqual(self.swap(session, "alone@1").returncode, 0)
        self.home.must("session", "kill", session)
        refused = "its runner could not be changed: the handshake failed"
        session = self.session("alone@1", "--user", "root")
        self.inside(session, "touch /home/agent/file /etc/changed")
        self.assert_reason(self.swap(session, "alone@2"), 73, f".*{refused}")
        self.home.must("session", "hibernate", session)
        self.assert_reason(self.swap(session, "alone@2"), 73, f".*{refused}")
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh"), "1\n")
        self.home.must("session", "kill", session)
        session = self.session("alone@1", "-e", "LIBRARIES=/home/agent/lib")
        self.inside(session, "touch file")
        self.assert_reason(self.swap(session, "alone@2"), 73, f".*{refused}")
        self.home.must("session", "kill", session)

    def test_one_that_sleeps_is_woken_and_what_it_was_given_stays_with_it_and_its_forks(self):
        self.add("nightly", "1", {"main.sh": "echo one\n"})
        session = self.session("nightly")
        self.inside(session, "echo kept >file")
        self.home.must("session", "hibernate", session)
        self.add("nightly", "2", {"main.sh": "echo two\n"})
        self.assertEqual(self.swap(session).returncode, 0)
        self.home.must("session", "hibernate", session)
        asked = "cat file; sh /opt/tare/runner/main.sh; echo $TARE_RUNNER"
        self.assertEqual(self.inside(session, asked), "kept\ntwo\nnightly@2\n")
        fork = self.home.must("session", "fork", session).stdout.decode().strip()
        self.assertEqual(self.inside(fork, asked), "kept\ntwo\nnightly@2\n")
        for each in (session, fork):
            self.home.must("session", "kill", each)

    def test_of_many_at_once_one_is_done_and_the_others_are_told(self):
        self.add("many", "1", {"main.sh": "echo one\n"})
        session = self.session("many")
        self.add("many", "2", {"main.sh": "echo two\n"})
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.swap(session, "many@2")))
                   for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = [answer for answer in answers if answer.returncode == 0]
        self.assertGreaterEqual(len(done), 1)
        for answer in answers:
            if answer not in done:
                self.assert_reason(answer, 73, ".*gets another runner already")
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh; echo $TARE_RUNNER"),
                         "two\nmany@2\n")
        self.home.must("session", "kill", session)

    def test_a_version_that_somebody_removes_meanwhile_is_there_for_as_long_as_it_is_needed(self):
        slow = ["sh", "-c", "sleep 1; echo '{\"tare_runner\":1}'"]
        for version in "12":
            self.add("removed", version, {"main.sh": f"echo {version}\n"}, slow)
        session = self.session("removed@1")
        before = self.trials("sleep 1;")
        swaps_done = []
        swapping = threading.Thread(target=lambda: swaps_done.append(self.swap(session,
                                                                               "removed@2")))
        swapping.start()
        harness.wait_until(lambda: self.trials("sleep 1;") > before, "the trial")
        self.assert_reason(self.home.tare("runner", "rm", "removed@2"), 73, ".*in use by run_")
        swapping.join()
        self.assertEqual(swaps_done[0].returncode, 0, swaps_done[0].stderr)
        self.assert_reason(self.home.tare("runner", "rm", "removed@2"), 73,
                           f".*in use by {session}")
        self.assertEqual(self.swap(session, "removed@1").returncode, 0)
        self.home.must("runner", "rm", "removed@2")
        self.home.must("env", "gc")
        self.assert_reason(self.swap(session, "removed@2"), 66, ".*removed@2")  # was good here
        self.assertEqual(self.inside(session, "sh /opt/tare/runner/main.sh"), "1\n")
        self.home.must("session", "kill", session)

    def test_the_record_of_one_that_is_removed_while_somebody_may_need_it_outlives_tared(self):
        """A swap that has found it, and waits for a checkpoint, whose job is stopped."""
        for version in "12":
            self.add("lasting", version, {"main.sh": f"echo {version}\n"})
        session = self.session("lasting@1")
        for version in "21":  # so that no trial is needed
            self.assertEqual(self.swap(session, f"lasting@{version}").returncode, 0)
        self.inside(session, "head -c 64M /dev/zero | tr '\\0' x >large")
        path, stopped = "/v1/runners/lasting/versions/2", []
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            pool.submit(self.home.tare, "session", "checkpoint", session)
            try:
                stopped = harness.wait_until(self.home.store_jobs, "the checkpoint")
                for job in stopped:
                    os.kill(job, signal.SIGSTOP)
                swapping = pool.submit(self.swap, session, "lasting@2")
                time.sleep(0.5)  # it has found it by then; if not, it is refused
                pool.submit(self.home.tare, "runner", "rm", "lasting@2")
                harness.wait_until(lambda: self.home.request("GET", path).status != 200,
                                   "nobody gets it any more", 9)
                self.assertFalse(swapping.done())
                harness.sigkill(self.home.program_pid("tared"))
            finally:
                for job in stopped:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(job, signal.SIGCONT)
        self.home.up()
        self.assertEqual(self.home.request("GET", path).status, 200)
        self.home.must("session", "kill", session)

    def test_one_that_ends_meanwhile_holds_nobody_up(self):
        self.add("ending", "1", {"main.sh": "echo one\n"})
        self.add("ending", "2", {"main.sh": "echo two\n"})
        for i in range(6):
            session = self.session("ending@1")
            swapping = threading.Thread(target=self.swap, args=(session, "ending@2"))
            swapping.start()
            time.sleep(0.015 * i)
            self.home.must("session", "kill", session)
            swapping.join(timeout=60)
            self.assertFalse(swapping.is_alive())
        self.home.must("env", "gc")  # nothing holds a layer for ever

    def test_programs_that_begin_meanwhile_have_the_old_or_the_new_one(self):
        self.add("busy", "1", {"main.sh": "echo 1\n"})
        self.add("busy", "2", {"main.sh": "echo 2\n"})
        session = self.session("busy@1")
        seen, wrong = [], []

        def look():
            for _ in range(8):
                out = self.home.tare("session", "exec", session, "--", "sh", "-c",
                                     "echo $TARE_RUNNER; sh /opt/tare/runner/main.sh")
                if out.returncode == 0:
                    seen.append(out.stdout)
                elif out.returncode != 137:
                    wrong.append(out)

        looking = [threading.Thread(target=look) for _ in range(4)]
        for thread in looking:
            thread.start()
        for version in "2121":
            self.assertEqual(self.swap(session, f"busy@{version}").returncode, 0)
        for thread in looking:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertLessEqual(set(seen), {b"busy@1\n1\n", b"busy@2\n2\n"})
        self.assertGreater(len(seen), 0)
        self.home.must("session", "kill", session)

    def test_sigkill_of_any_daemon_at_any_moment_leaves_no_session_with_half(self):
        """Both files of the runner agree, and with the record. With its launcher a session ends."""
        for version in ("1", "2"):
            self.add("crashed", version, {"main.sh": f"echo {version}\n", "again": version},
                     ["sh", "-c", "sleep 0.06; sh /opt/tare/runner/handshake.sh"])
        dice = random.Random(4)
        ended = discarded = 0
        for i in range(15):
            victim = ("tared", "tare-launcher")[i % 5 == 4]
            session = self.session("crashed@1")
            self.inside(session, "echo kept >file")
            pid = self.home.program_pid(victim)
            swapping = threading.Thread(target=self.swap, args=(session, "crashed@2"))
            swapping.start()
            time.sleep(dice.random() * 0.12)
            harness.sigkill(pid)
            self.home.up()
            swapping.join()
            state = lambda: self.home.inspect(session)
            harness.wait_until(lambda: harness.ended(state()) or self.answers(session),
                               "an end, or an answer")
            if harness.ended(state()):
                self.assertEqual(victim, "tare-launcher")
                ended += 1
                continue
            discarded += "was being changed" in json.dumps(state()["events"])
            seen = self.inside(session, "sh /opt/tare/runner/main.sh; cat /opt/tare/runner/again; "
                               "echo; echo $TARE_RUNNER; cat file").split()
            recorded = self.runner_of(session) or "crashed@1"
            self.assertEqual(seen, [recorded[-1], recorded[-1], recorded, "kept"])
            self.home.must("session", "kill", session)
        self.assertGreater(ended, 0)
        self.assertGreater(discarded, 0)

    def answers(self, session):
        return self.home.tare("session", "exec", session, "--", "true").returncode == 0


if __name__ == "__main__":
    unittest.main()
