"""What users can see of their sandboxes: tare posture, tare run --profile, the pool's counters."""

import json
import subprocess
import unittest

import harness


class View(harness.TareTest):
    def assert_reviewed(self, name, *arguments):
        """What users see is what was reviewed: tests/golden/posture_NAME.txt, posture_proc.txt."""
        said = self.home.must("posture", *arguments).stdout
        check = subprocess.run([harness.BIN / "tare-posture-check", name], input=said,
                               capture_output=True, check=False, timeout=harness.TIMEOUT_S)
        self.assertEqual((check.stdout.decode(), check.stderr, check.returncode), ("", b"", 0))
        return said

    def test_posture_prints_what_was_reviewed_of_each_profile_and_user(self):
        default = self.assert_reviewed("agent")
        self.assert_reviewed("agent", "--profile", "default")
        self.assert_reviewed("strict", "--profile", "strict")
        self.assert_reviewed("build", "--profile", "build")
        self.assert_reviewed("root", "--user", "root")
        self.assertIn(b"NoNewPrivs: 1", default)

    def test_posture_as_json_is_a_run_like_any_other(self):
        run = json.loads(self.home.must("posture", "--user", "root", "--json").stdout)
        self.assertIn("Uid: 0 0 0 0", " ".join(run["stdout"].split()))

    def test_each_profile_is_explained(self):
        text = self.home.must("run", "--profile").stdout.decode()
        for word in ("\nstrict\n", "\ndefault\n", "\nbuild\n", "CHOWN", "ptrace", "netlink"):
            self.assertIn(word, text)
        profiles = json.loads(self.home.must("run", "--profile", "--json").stdout)["profiles"]
        self.assertEqual([profile["name"] for profile in profiles], ["strict", "default", "build"])
        self.assertIn("ptrace", profiles[0]["refused"])

    def test_a_profile_still_takes_a_value(self):
        self.assert_status(self.home.host("true", options=("--profile", "strict")), 0)

    def test_an_input_that_is_a_program_can_be_executed(self):
        script = self.folder / "tool.sh"
        script.write_text("#!/bin/sh\necho $((6*7))\n")
        result = self.home.host("/input/tool.sh", options=("--input", script))
        self.assertEqual(result.stdout, b"42\n", result.stderr)


class Pool(harness.TareTest):
    starts_daemons = False

    def pool(self):
        return self.home.request("GET", "/v1/health").json["pool"]

    def test_its_counters_are_told_and_it_can_be_switched_off(self):
        self.home.must("up", "--detach", "--port", "0")
        self.assert_status(self.home.host("true"), 0)
        harness.wait_until(lambda: self.pool()["idle"] >= 1, "a sandbox that waits")
        self.assert_status(self.home.host("true"), 0)
        pool = self.pool()
        self.assertEqual(pool["hits"] + pool["misses"], 2, pool)
        self.assertGreaterEqual(pool["hits"], 1, pool)
        self.home.down()

        self.home.must("up", "--detach", "--port", "0", "--pool", "0")
        for _ in range(3):
            self.assert_status(self.home.host("true"), 0)
        pool = self.pool()
        self.assertEqual((pool["misses"], pool["idle"], pool["making"], pool["made"]), (3, 0, 0, 0))


if __name__ == "__main__":
    unittest.main()
