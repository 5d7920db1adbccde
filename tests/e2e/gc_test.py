"""Layers that nothing needs are removed; what runs, agents and environments need stays."""

import concurrent.futures
import io
import json
import os
import tarfile
import threading
import unittest

from layers import BOX, EnvironmentsTest, make_layer, programs, put_environment

CAT = programs("cat")
ROUNDS = 12


class Gc(EnvironmentsTest):
    SPARE = [{"spare": b"s" * 5000}]
    ENVIRONMENTS = {"box": [BOX], "run-box": [BOX, {"etc/run": b"1"}], "over": [BOX, {"x": b"1"}],
                    "spare": SPARE}

    def layers(self):
        return {f"sha256:{one}" for one in os.listdir(self.home.path / "store/layers")}

    def run_in(self, environment, *command):
        run = self.home.must("run", "--env", environment, "--detach", "--", *command)
        return run.stdout.decode().strip()

    def test_a_what_nothing_needs_goes_and_all_else_stays(self):
        everything = self.layers()
        self.assertEqual(self.json("gc")["removed"], [])
        (self.folder / "agent.toml").write_text(
            'name = "boxer"\nenvironment = "box"\nentry = ["/bin/true"]\nfiles = ["data"]\n')
        (self.folder / "data").write_bytes(b"the agent's")
        self.home.must("agent", "apply", self.folder)
        files = self.layers() - everything
        self.assertEqual(len(files), 1)
        spare, over = self.digests["spare"][0], self.digests["over"][1]
        self.home.must("env", "rm", "spare", "over")
        would = self.home.must("env", "gc", "--dry-run").stdout.decode()
        self.assertIn(spare, would)
        self.assertRegex(would, r"(?m)^would free: 2 layers, 4\.8K; 3 stay$")
        self.assertEqual(self.layers(), everything | files)
        freed = self.home.must("env", "gc").stdout.decode()
        self.assertRegex(freed, rf"(?m)^{spare}  1 files, 4\.8K$")
        self.assertRegex(freed, r"(?m)^freed: 2 layers, 4\.8K; 3 stay$")
        self.assertEqual(self.layers(), (everything | files) - {spare, over})
        self.home.must("run", "boxer")
        self.assertTrue(json.loads(self.home.must("env", "verify", "--json").stdout)["intact"])

    def test_b_a_layer_that_is_made_again_is_what_the_next_run_sees(self):
        """And not what empty sandboxes that waited still have of the first."""
        spare = {**BOX, "etc/spare": b"1"}

        def made():
            put_environment(self.home, "again", [make_layer(self.home, spare)])

        made()
        for _ in range(3):  # so that some wait
            self.home.must("run", "--env", "again", "--", "/bin/true")
        self.home.must("env", "rm", "again")
        self.assertEqual(len(self.json("gc")["removed"]), 1)
        self.assert_status(self.home.tare("run", "--env", "again", "--", "/bin/true"), 66)
        made()
        for _ in range(3):
            self.home.must("run", "--env", "again", "--", "/bin/true")
        self.home.must("env", "rm", "again")
        self.assertEqual(len(self.json("gc")["removed"]), 1)

    def test_what_begins_while_the_last_name_goes_has_its_layers_or_is_refused(self):
        """On a layer of which one name is left; that name and a sweep go at the same time."""
        began = 0
        for number in range(ROUNDS):
            name, mine = f"unique{number}", f"only {number}\n".encode()
            self.home.must("env", "import", self.archive(mine), "--name", name)
            program = {"environment": name, "argv": ["/bin/cat", "/etc/mine"]}
            calls = [("POST", "/v1/runs", program),
                     ("POST", "/v1/sessions", {"environment": name})]
            together = threading.Barrier(7)

            def ask(*call):
                together.wait()
                return self.home.request(*call)

            def take_away():
                together.wait()
                return (self.home.request("DELETE", f"/v1/environments/{name}"),
                        self.home.request("POST", "/v1/layers/gc"))

            with concurrent.futures.ThreadPoolExecutor(7) as pool:
                asked = [pool.submit(ask, *call) for call in calls * 3]
                removed, swept = pool.submit(take_away).result()
                answers = [one.result() for one in asked]
            self.assertIn(removed.status, (204, 409), removed.body)
            self.assertEqual(swept.status, 200, swept.body)
            for (_, path, _), answer in zip(calls * 3, answers):
                self.assertIn(answer.status, (202, 404), answer.body)
                if answer.status == 404:
                    continue
                began += 1
                one = answer.json["id"]
                if path == "/v1/runs":
                    ended = self.home.wait_ended(one)
                    self.assertEqual(ended["state"], "succeeded", ended)
                    self.assertEqual(self.home.must("logs", one).stdout, mine)
                    continue
                seen = self.home.tare("session", "exec", one, "--", "/bin/cat", "/etc/mine")
                self.assertEqual((seen.returncode, seen.stdout), (0, mine), seen.stderr)
                self.home.must("session", "kill", one)
                self.home.wait_ended(one)
            self.home.tare("env", "rm", name)
            self.home.must("env", "gc")
        print(f"{began} of {6 * ROUNDS} began")
        self.assertGreater(began, 0)
        self.assertLess(began, 6 * ROUNDS)

    def archive(self, mine):
        path = self.folder / "unique.tar"
        with tarfile.open(path, "w") as tar:
            for name, value in {**CAT, "etc/mine": mine}.items():
                mode, content = value if isinstance(value, tuple) else (0o644, value)
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
        return path

    def test_runs_and_agents_that_come_meanwhile_have_their_layers(self):
        """Sweeps one after another, while runs start, names come and go and agents are made."""
        stop, trouble = threading.Event(), []

        def sweep():
            while not stop.is_set():
                result = self.home.tare("env", "gc", "--json")
                if result.returncode != 0:
                    trouble.append(result.stderr)

        sweeper = threading.Thread(target=sweep)
        sweeper.start()
        try:
            (self.folder / "agent.toml").write_text(
                'name = "racer"\nenvironment = "box"\nentry = ["/bin/true"]\nfiles = ["data"]\n')
            for number in range(15):
                (self.folder / "data").write_text(str(number))
                self.home.must("agent", "apply", self.folder)
                self.home.must("run", "racer")
                self.home.must("env", "tag", "box", f"t{number}")
                self.home.must("run", "--env", f"t{number}", "--", "/bin/true")
                self.home.must("env", "rm", f"t{number}")
        finally:
            stop.set()
            sweeper.join()
        self.assertEqual(trouble, [])
        report = self.json("verify")
        self.assertTrue(report["intact"], report)


if __name__ == "__main__":
    unittest.main()
