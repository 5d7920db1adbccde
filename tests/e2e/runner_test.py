"""Runners: frozen to a digest, shown read-only beside the environment, rolled out to agents."""

import json
import unittest

import harness
import layers

# A runner in shell: prints what it was given, and what is in its folder.
MANIFEST = """\
name = "{name}"
version = "{version}"
entry = ["sh", "/opt/tare/runner/main.sh"]
handshake = ["sh", "/opt/tare/runner/main.sh", "--handshake"]
languages = ["sh"]
needs = ["sh"]
"""
MAIN = """\
if [ "$1" = --handshake ]; then echo '{{"tare_runner":1}}'; exit; fi
echo "{version} $TARE_RUNNER: $*"
"""
AGENT = """\
name = "{name}"
environment = "host"
runner = "{runner}"
entry = "main:handler"
"""


def shell_box():
    files = layers.programs("dash", "cat", "rm", "touch")
    files["bin/sh"] = files["bin/dash"]
    files["opt/there"] = b""  # the folder above a runner's is the environment's own
    return files


class Runners(layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [shell_box()]}

    def folder_of(self, version, name="demo", files=None):
        folder = self.folder / f"runner-{name}-{version}"
        folder.mkdir()
        (folder / "runner.toml").write_text(MANIFEST.format(name=name, version=version))
        for path, text in (files or {"main.sh": MAIN.format(version=version)}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return folder

    def add(self, version, name="demo", files=None):
        return self.home.must("runner", "add", self.folder_of(version, name, files))

    def apply(self, name, runner):
        folder = self.folder / name
        folder.mkdir()
        (folder / "agent.toml").write_text(AGENT.format(name=name, runner=runner))
        return self.home.tare("agent", "apply", folder)

    def request_of(self, *run):
        """What the newest run was made from, and its output."""
        result = self.home.must("run", *run)
        newest = json.loads(self.home.must("ps", "-a", "--json", "-n", "1").stdout)["runs"][0]
        return newest["request"], result.stdout.decode()

    def test_a_folder_becomes_a_version_and_the_same_again_changes_nothing(self):
        folder = self.folder_of("1", "again")
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__/x.pyc").write_text("stale")
        self.assertEqual(self.home.must("runner", "add", folder).stdout, b"again@1\n")
        self.assertEqual(self.home.must("runner", "add", folder).stdout, b"again@1 (unchanged)\n")
        (folder / "main.sh").write_text("echo other\n")
        refused = self.home.tare("runner", "add", folder)
        self.assert_reason(refused, 73, ".*again@1 is there with other files.*runner.toml")
        shown = json.loads(self.home.must("runner", "show", "again", "--json").stdout)
        self.assertEqual((shown["version"], shown["entry"]),
                         ("1", ["sh", "/opt/tare/runner/main.sh"]))
        self.assertIn("again@1", self.home.must("runner", "list").stdout.decode())

    def test_the_first_run_with_a_version_that_was_never_used_finds_a_sandbox_ready(self):
        self.add("1", "fresh")
        self.assertEqual(self.apply("fresh", "fresh").returncode, 0)
        for version in range(2, 8):
            self.add(str(version), "fresh")
            self.home.must("runner", "use", f"fresh@{version}", "--agent", "fresh")
            run = self.home.must("run", "fresh", "-d").stdout.decode().strip()
            self.home.must("logs", "-f", run)
            events = {event["type"]: event["message"] for event in self.home.inspect(run)["events"]}
            self.assertIn("a sandbox that was ready", events["started"])

    def test_what_is_wrong_is_said_with_its_place(self):
        folder = self.folder_of("1", "wrong")
        (folder / "runner.toml").write_text("name = \"wrong\"\nversion = \"a b\"\n")
        self.assert_reason(self.home.tare("runner", "add", folder), 64,
                           ".*runner.toml:2: version: ")
        self.assert_reason(self.home.tare("runner", "show", "nobody"), 66, ".*tare runner add DIR")
        answer = self.home.request("POST", "/v1/runners", {"files": [
            {"path": "a/__pycache__/x.py", "mode": 420, "digest": "sha256:" + "a" * 64}]})
        self.assertEqual((answer.status, answer.json["error"]["field"]), (400, "files[0].path"))
        self.assert_reason(self.apply("homeless", "nobody@1"), 66, ".*no runner")

    def test_a_run_has_it_beside_its_environment_and_says_so(self):
        self.add("1", "seen")
        request, out = self.request_of("--env", "host", "--runner", "seen", "--", "a", "b c")
        self.assertEqual(out, "1 seen@1: a b c\n")
        self.assertEqual(request["runner"], "seen@1")
        self.assertRegex(request["runner_digest"], "^sha256:[0-9a-f]{64}$")
        self.assertEqual(request["environment_digest"], "")
        look = "stat -c '%A %u %n' /opt/tare/runner /opt/tare/runner/*; env | grep ^TARE_RUNNER"
        files = {"main.sh": f"{look}\n"}
        self.add("2", "seen", files)
        _, out = self.request_of("--env", "host", "--runner", "seen@2", "--", "x")
        self.assertIn("drwxr-xr-x 0 /opt/tare/runner\n-rw-r--r-- 0 /opt/tare/runner/main.sh\n", out)
        self.assertIn("TARE_RUNNER=seen@2\n", out)
        self.assertIn("TARE_RUNNER_DIGEST=sha256:", out)
        without = self.home.host("sh", "-c", "test -e /opt/tare && echo there; "
                                 "env | grep -c TARE_RUNNER")
        self.assertEqual(without.stdout, b"0\n")  # not even its place

    def test_verify_reads_a_runner_and_names_it_and_a_run_without_it_says_so(self):
        self.add("1", "kept")
        folder = self.folder / "runner-kept-1"
        shown = json.loads(self.home.must("runner", "show", "kept", "--json").stdout)
        layer = layers.layer_folder(self.home, shown["digest"])
        owner = ("runner kept@1",)
        with layers.flipped(layer / "root/main.sh"):
            verdict = layers.faults_of(self, self.home)[owner]
            self.assertIn("main.sh", verdict["difference"])
            self.assertRegex(verdict["fix"], f"^put {verdict['path']} back from a backup; without "
                                             "one: `tare runner add` the folder of kept@1 again$")
        with (layer / "root/main.sh").open("ab") as file:  # for good
            file.write(b"# worse")
        self.assertIn(owner, layers.faults_of(self, self.home))
        self.home.must("runner", "add", folder)
        self.assertEqual(layers.faults_of(self, self.home), {})
        layer.rename(self.folder / "aside")
        verdict = layers.faults_of(self, self.home)[owner]
        self.assertIn("is not in the store", verdict["difference"])
        refused = self.home.tare("run", "--env", "host", "--runner", "kept", "--", "x")
        self.assertEqual(refused.returncode, 125)
        self.assertIn(f"layer {shown['digest']} is not in the store (store/layers/{layer.name}): "
                      "put it back from a backup; `tare env verify` says", refused.stderr.decode())
        self.home.must("runner", "add", folder)  # as it says
        self.assertEqual(layers.faults_of(self, self.home), {})
        self.home.must("run", "--env", "host", "--runner", "kept", "--", "x")

    def test_an_agent_keeps_its_runner_until_another_is_rolled_out(self):
        self.add("1", "rolled")
        self.assert_status(self.apply("keeper", "rolled"), 0)
        run = lambda: self.home.must("run", "keeper", "--", "x").stdout.decode()
        self.assertEqual(run(), "1 rolled@1: main:handler x\n")
        self.add("2", "rolled")
        self.assertEqual(run(), "1 rolled@1: main:handler x\n")
        used = self.home.must("runner", "use", "rolled@2", "--agent", "keeper")
        self.assertEqual(used.stdout, b"keeper: rolled@2\n")
        self.assertEqual(run(), "2 rolled@2: main:handler x\n")
        self.home.must("runner", "back", "--agent", "keeper")
        self.assertEqual(run(), "1 rolled@1: main:handler x\n")
        history = self.home.must("runner", "history", "--agent", "keeper", "--json")
        history = json.loads(history.stdout)
        self.assertEqual([entry["runner"] for entry in history["history"]],
                         ["rolled@1", "rolled@2", "rolled@1"])
        self.assert_reason(self.home.tare("runner", "back", "--agent", "keeper"), 73,
                           ".*no other version of rolled before")
        self.home.down()
        self.home.up()
        self.assertEqual(run(), "1 rolled@1: main:handler x\n")

    def test_a_run_that_waits_for_its_turn_keeps_the_runner_that_it_was_asked_for_with(self):
        """With one sandbox at once, which is another run's until the next version is rolled out."""
        self.add("1", "queued")
        self.assert_status(self.apply("waiter", "queued"), 0)
        self.add("2", "queued")
        self.home.down()
        with harness.one_at_once(self.folder / "bin"):
            self.addCleanup(self.home.up)
            self.addCleanup(self.home.down)
            self.home.up()
            blocker = self.home.detached("sleep", "600")
            run = self.home.must("run", "-d", "waiter").stdout.decode().strip()
            self.home.must("runner", "use", "queued@2", "--agent", "waiter")
            waits = self.home.inspect(run)
            self.assertEqual((waits["state"], waits["request"]["runner"]), ("queued", "queued@1"))
            self.home.must("kill", blocker)
            self.assertEqual(self.home.wait_ended(run)["request"]["runner"], "queued@1")
            self.assertEqual(self.home.must("logs", run).stdout, b"1 queued@1: main:handler\n")
            self.assertEqual(self.home.must("run", "waiter").stdout, b"2 queued@2: main:handler\n")

    def test_what_is_refused_is_not_rolled_out_and_back_stays_with_the_runner(self):
        self.add("1", "first")
        self.add("1", "second")
        self.add("2", "second")
        self.assert_status(self.apply("mover", "first"), 0)
        refused = self.home.tare("runner", "use", "second@1", "--agent", "mover")
        self.assert_reason(refused, 64, ".*is made for first, not for second")
        (self.folder / "mover" / "agent.toml").write_text(
            AGENT.format(name="mover", runner="second"))
        self.home.must("agent", "apply", self.folder / "mover")
        # What it had before is another runner, which cannot load it.
        self.assert_reason(self.home.tare("runner", "back", "--agent", "mover"), 73,
                           ".*no other version of second before")
        self.home.must("runner", "use", "second@1", "--agent", "mover")
        self.assertEqual(self.home.must("runner", "back", "--agent", "mover").stdout,
                         b"mover: second@2\n")

    def test_a_percentage_of_the_runs_has_it_and_a_repeat_is_the_same_run(self):
        self.add("1", "part")
        self.assert_status(self.apply("parted", "part"), 0)
        self.add("2", "part")
        self.home.must("runner", "use", "part@2", "--agent", "parted", "--percent", "50")
        seen = [self.home.must("run", "parted").stdout.decode()[0] for _ in range(24)]
        self.assertEqual(set(seen), {"1", "2"})  # by chance alone once in 8 million
        body = {"agent": "parted", "idempotency_key": "k"}
        answers = {self.home.request("POST", "/v1/runs", body).json["id"] for _ in range(5)}
        self.assertEqual(len(answers), 1)

    def test_one_that_is_needed_stays_and_one_that_is_not_goes_with_its_layer(self):
        self.add("1", "kept")
        self.assert_status(self.apply("needer", "kept"), 0)
        self.assert_reason(self.home.tare("runner", "rm", "kept@1"), 73, ".*that of agent needer")
        self.assert_status(self.apply("pinner", "kept@1"), 0)
        self.assert_reason(self.home.tare("runner", "use", "kept@1", "--agent", "pinner"), 73,
                           ".*agent.toml of pinner says kept@1")
        self.add("2", "kept", {"main.sh": "sleep 1000\n"})
        digest = json.loads(self.home.must("runner", "show", "kept@2", "--json").stdout)["digest"]
        layer = self.home.path / "store/layers" / digest.removeprefix("sha256:")
        self.home.must("env", "gc")
        self.assertTrue(layer.exists())
        run = self.home.must("run", "-d", "--env", "host", "--runner", "kept@2", "--", "x")
        run = run.stdout.decode().strip()
        self.assert_reason(self.home.tare("runner", "rm", "kept@2"), 73, f".*in use by {run}")
        self.home.must("kill", run)
        self.home.wait_ended(run)
        self.home.must("runner", "rm", "kept@2")
        self.assertTrue(layer.exists())
        self.home.must("env", "gc")
        self.assertFalse(layer.exists())

    def test_what_is_frozen_never_has_it(self):
        """The same change beside two runners, and beside none, is the same to the byte."""
        seen = set()
        for version in range(3):
            options = []
            if version > 0:
                self.add(str(version), "frozen", {"main.sh": f"echo {version}\n", "sub/x": "x"})
                options = ["--runner", f"frozen@{version}"]
            session = self.home.must("session", "new", "--env", "box", "--user", "root",
                                     *options).stdout.decode().strip()
            script = ("cat /opt/tare/runner/main.sh; rm -r /opt/tare/runner/main.sh;"
                      " touch /opt/tare/runner/main.sh /opt/mine;"
                      " touch -d 2001-01-01 /opt/mine /opt / /etc/passwd /etc/group /etc; true")
            if version == 0:
                script = script.replace("/opt/tare/runner/main.sh /opt/mine", "/opt/mine")
            out = self.home.must("session", "exec", session, "--", "sh", "-c", script).stdout
            self.assertEqual(out.decode(), f"echo {version}\n" if version else "")
            self.home.must("env", "freeze", session, "--name", f"frozen{version}")
            frozen = self.json("show", f"frozen{version}")
            manifest = (self.layer(frozen["layers"][-1]) / "manifest").read_text()
            self.assertIn(" opt/mine", manifest)
            self.assertNotIn("tare/", manifest)
            seen.add(frozen["digest"])
            self.home.must("session", "kill", session)
        self.assertEqual(len(seen), 1, seen)


if __name__ == "__main__":
    unittest.main()
