"""SIGKILL of tared before any of its system calls while it gives a session another runner: after
its restart the session is there with all its files, and with the old runner or the new one, whole.

A few calls, spread over the exchange; each of them with TARE_KILL_MATRIX=full (`./dev test full`).
"""

import json
import threading
import unittest

import harness
import layers
import stepper
import swaps

TRIES = 8


class SwapMatrix(layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [swaps.box()]}

    def add(self, version):
        swaps.add_runner(self.home, self.folder, "stepped", version, {
            "main.sh": f"echo {version}\n", "again": f"{version}\n"})

    def swap(self, session, version):
        """Its answer, or nothing when tared died."""
        try:
            return self.home.request("POST", f"/v1/sessions/{session}/runner",
                                     {"runner": f"stepped@{version}"})
        except (OSError, harness.http.client.HTTPException):
            return None

    def one(self, kill_before):
        """A swap whose tared is killed before that call (0: never). How many calls it made, and
        what became of the session, and was it killed?"""
        made = self.home.must("session", "new", "--env", "box", "--runner", "stepped@1")
        session = made.stdout.decode().strip()
        inside = ("session", "exec", session, "--", "sh", "-c")
        self.home.must(*inside, "echo kept >file; (sleep 1000 &)")
        for version in "21":  # both have been tried in this environment: nothing but the exchange
            self.assertEqual(self.swap(session, version).status, 200)
        traced = stepper.Stepper(self.home.program_pid("tared"))
        client = threading.Thread(target=self.swap, args=(session, "2"))
        client.start()
        killed = traced.run_until(lambda: not client.is_alive(), kill_before)
        client.join()
        if killed:
            self.home.up()
        seen = self.home.must(*inside, "sh /opt/tare/runner/main.sh; cat /opt/tare/runner/again; "
                                       "echo $TARE_RUNNER; cat file").stdout.decode().split()
        has = self.home.request("GET", f"/v1/sessions/{session}").json["runner"]
        self.assertIn(has, ("stepped@1", "stepped@2"))
        self.assertEqual(seen, [has[-1], has[-1], has, "kept"])
        events = json.dumps(self.home.inspect(session)["events"])
        fate = has[-1] + ("d" if "was being changed" in events else "")
        self.home.must("session", "kill", session)
        return traced.calls, fate, killed

    def test_sigkill_of_tared_before_a_call_of_an_exchange_costs_no_file_and_leaves_no_half(self):
        for version in "12":
            self.add(version)
        count, fate, _ = self.one(0)
        self.assertEqual(fate, "2")
        tries = stepper.some(count, TRIES)
        print(f"tared: {count} system calls in an exchange; killed before {len(tries)}")
        fates, died = [], 0
        for number in tries:
            with self.subTest(call=number):
                _, fate, killed = self.one(number)
                fates.append(fate)
                died += killed
        print(f"runner afterwards, d: in a fresh sandbox: {' '.join(fates)}")
        stepper.assert_swept(self, "tared", count, tries, died)
        self.assertIn("1d", fates)  # killed while it was unconfirmed


if __name__ == "__main__":
    unittest.main()
