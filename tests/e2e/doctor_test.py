"""`tare doctor` as a person and a program see it; tests/kernel tests the checks themselves."""

import json
import re
import unittest

import harness


class Doctor(harness.TareTest):
    starts_daemons = False

    def report(self, *options):
        result = self.home.tare("doctor", "--json", *options)
        return result.returncode, json.loads(result.stdout)

    def state(self, report, name):
        states = [check["state"] for check in report["checks"] if check["name"] == name]
        self.assertEqual(len(states), 1, f"{name}: {states}")
        return states[0]

    def test_every_check_has_one_of_three_states_and_text_and_json_agree(self):
        status, report = self.report()
        self.assertEqual((status, report["ok"], report["missing"]), (0, True, 0), report)
        states = [(check["state"], check["name"]) for check in report["checks"]]
        self.assertEqual(len({name for _, name in states}), len(states), "a check comes twice")
        self.assertEqual(report["warnings"], sum(state == "warning" for state, _ in states))
        text = self.home.must("doctor").stdout.decode()
        told = re.findall(r"(?m)^(ok|warning|MISSING) +(.*?)(?::.*)?$", text)
        self.assertEqual([(state.lower(), name) for state, name in told], states)
        self.assertRegex(text, r"(?m)^this host can run everything")

    def test_root_needs_no_subordinate_ids(self):
        _, report = self.report("--user", "daemon")
        self.assertEqual(self.state(report, "subordinate ids"), "ok")

    def test_the_user_and_the_home_that_are_asked_for_are_looked_at(self):
        status, report = self.report("--user", "no-such-user")
        self.assertEqual((status, report["ok"], report["missing"]), (1, False, 1))
        self.assertEqual(self.state(report, "system user"), "missing")
        text = self.home.tare("doctor", "--user", "no-such-user").stdout.decode()
        self.assertEqual(re.findall("useradd.* ([^ ]+)$", text, re.M), ["no-such-user"])
        status, report = self.report("--home", "/proc/no-such-home")
        self.assertEqual(status, 1)
        self.assertEqual(self.state(report, "home folder"), "missing")


if __name__ == "__main__":
    unittest.main()
