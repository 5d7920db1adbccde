"""Somebody who takes his time to read an export holds up nobody, and gets all of it."""

import os
import unittest

import harness
import layers
import sessions


class SlowReader(sessions.SessionsTest, layers.EnvironmentsTest):
    BOX = layers.programs("sh", "cat", "ls")
    ENVIRONMENTS = {"box": [BOX],
                    "big": [BOX, {f"data/{i}": bytes([i]) * 2_000_000 for i in range(4)}]}

    def stored(self):
        return {f"sha256:{one}" for one in os.listdir(self.home.path / "store/layers")}

    def test_an_export_that_nobody_reads_holds_up_no_session_no_sweep_and_no_name(self):
        durable = self.new("--env", "box", "--user", "root", "--durable")
        other = self.new("--env", "box", "--user", "root")
        before = self.stored()
        archive = self.folder / "big.tar"
        with self.home.popen("env", "export", "big", "-") as reader:
            begun = reader.stdout.read(1)
            for _ in range(2):  # the second takes the place of the first, whose layers are to go
                self.sh(durable, "echo x >>/srv")

            def own():
                kept = self.home.inspect(durable)["checkpoint"]["own_layers"]
                return set(kept["root"] + kept["scratch"])

            harness.wait_until(lambda: self.stored() - before == own(), "tared's own sweep")
            self.sh(other, "echo mine >/srv")
            self.home.must("env", "freeze", other, "--name", "frozen")
            self.hibernate(other)
            self.home.must("env", "rm", "big")
            self.home.must("env", "gc")
            self.assertLessEqual(set(self.digests["big"]), self.stored())
            self.assertEqual(self.sh(durable, "cat /srv"), "x\nx\n")
            archive.write_bytes(begun + reader.stdout.read())
            self.assertEqual(reader.wait(), 0, reader.stderr.read())
        self.home.must("env", "gc")  # nobody needs them any more
        self.assertNotIn(self.digests["big"][1], self.stored())
        self.home.must("env", "import", archive, "--name", "big")
        self.assertEqual(self.json("show", "big")["layers"], self.digests["big"])
        self.kill(durable, other)


if __name__ == "__main__":
    unittest.main()
