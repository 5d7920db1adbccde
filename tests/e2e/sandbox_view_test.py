"""What users can see of their sandboxes: tare posture, tare run --profile, the pool's counters."""

import json
import unittest

import harness


class View(harness.TareTest):
    def test_posture_says_what_a_program_has(self):
        said = self.home.must("posture").stdout.decode()
        for line in ("CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"):
            self.assertIn(line, said.replace("\t", " "))
        strict = self.home.must("posture", "--profile", "strict").stdout.decode()
        self.assertNotEqual(said, strict)

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
