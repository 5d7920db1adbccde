"""A chain whose name goes while it is being made flat: the store's job stands at the one call that
puts the flat layer in its place, or behind it, as long as the test wants."""

import concurrent.futures
import os
import sqlite3
import unittest

import harness
import stepper
from flat_names_test import DEEP, FlatTest
from layers import faults_of

RENAMES = (264, 316)  # renameat, renameat2: of x86-64
HIGHEST = 8  # layers that are mounted as they are
NUMBERS = "".join(f"{i}\n" for i in range(1, HIGHEST))


class FlatRemoved(FlatTest):
    ENVIRONMENTS = {"box": DEEP[:HIGHEST]}

    def ask(self, status, method, path, body=None):
        answer = self.home.request(method, path, body)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def layers(self):
        return sorted(os.listdir(self.home.path / "store/layers"))

    def staged(self):
        return list((self.home.path / "store/staging").iterdir())

    def flat_on_record(self):
        database = sqlite3.connect(self.home.path / "state/tare.db")
        try:
            return database.execute("SELECT digest FROM flat_layers").fetchall()
        finally:
            database.close()

    def is_flat(self):
        """Is one staged that has what lies below, and so is made of more than the highest?"""
        return any((job / "root/srv/1").exists() for job in self.staged())

    def beside_flattening(self, session, placed, script):
        """What script() does beside the session's freeze, with what is frozen being made flat."""
        store = self.home.program_pid("tare-store")
        traced = stepper.Stepper(store, mortal=True, adopts=lambda pid: harness.status_of(pid).get(
            "PPid") == str(store))

        def work():
            self.ask(201, "POST", f"/v1/sessions/{session}/freeze", {"name": "nine"})
            harness.wait_until(lambda: traced.held, "one that is being made flat")
            script()

        placing = 0
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            done = pool.submit(work)
            for tid, _, enters in traced.stops(done.done):
                if not enters or traced.held:
                    continue
                renames = traced.last in RENAMES and self.is_flat()
                if placing == tid or (renames and not placed):
                    traced.held = tid
                elif renames:
                    placing = tid
            traced.go_on()
            done.result()

    def changed(self):
        session = self.session("box")
        self.inside(session, "echo top >/srv/word")
        return session

    def assert_nothing_left(self, before):
        self.gc()
        self.assertEqual((self.layers(), self.staged(), self.flat_on_record()), (before, [], []))
        self.assertEqual(faults_of(self, self.home), {})

    def test_one_that_nobody_needs_any_more_is_not_swept_from_under_it_and_goes_afterwards(self):
        for placed in (False, True):
            with self.subTest(placed=placed):
                before, session = self.layers(), self.changed()

                def script():
                    self.ask(204, "DELETE", "/v1/environments/nine")
                    there = self.layers()
                    self.assertEqual(len(there), len(before) + (2 if placed else 1))
                    refused = self.ask(409, "POST", "/v1/layers/gc")
                    self.assertIn(b"another new layer is being stored", refused.body)
                    self.assertEqual(self.layers(), there)

                self.beside_flattening(session, placed, script)
                self.home.must("session", "kill", session)
                self.home.wait_ended(session)
                self.assert_nothing_left(before)

    def test_who_stands_on_it_sees_its_files_before_and_after(self):
        for placed in (False, True):
            with self.subTest(placed=placed):
                before, session, seen = self.layers(), self.changed(), NUMBERS + "top\n"
                stands = []

                def script():
                    made = self.ask(202, "POST", "/v1/sessions", {"environment": "nine",
                                                                  "user": "root"})
                    stands.append(made.json["id"])
                    self.ask(409, "DELETE", "/v1/environments/nine")  # it stands on it
                    self.ask(200, "POST", "/v1/environments/nine/tag", {"name": "other"})
                    self.ask(204, "DELETE", "/v1/environments/nine")

                self.beside_flattening(session, placed, script)
                stands, = stands
                self.home.must("session", "kill", session)
                self.assertEqual(self.inside(stands), seen)
                self.flat("other")
                self.gc()
                for turn in ("made flat", "woken on it"):
                    self.assertEqual(self.inside(stands), seen, turn)
                    self.assertEqual(self.run_in("other"), seen, turn)
                    self.assertEqual(faults_of(self, self.home), {}, turn)
                    self.restart()
                    self.home.must("session", "hibernate", stands)
                self.home.must("session", "kill", stands)
                self.home.wait_ended(stands)
                self.home.must("env", "rm", "other")
                self.assert_nothing_left(before)


if __name__ == "__main__":
    unittest.main()
