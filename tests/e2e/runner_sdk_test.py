"""The runners that come with Tare, Python and Node: entry functions, input, SDK, errors.

With the host's interpreters; tests/interop/runner_test.py has Debian's in real environments.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness

PYTHON = """\
import os, sys
import tare

def double(value):
    tare.log("doubling")
    tare.progress(0.25, "a quarter")
    tare.progress(0.75, "three quarters")
    tare.artifact("sub/note.txt", "written", "text/plain")
    print("on stdout", sys.argv[1:])
    return {"twice": value["n"] * 2, "runner": tare.runner, "run": tare.run_id,
            "bridge": tare.bridge}

async def waits(value):
    import asyncio
    await asyncio.sleep(0)
    return [value]

def nothing():
    return None

def fails(value):
    deeper(value)

def deeper(value):
    raise ValueError(f"no {value}")

def exits():
    sys.exit(7)

def no_json(value):
    return {1, 2}

def too_much(value):
    return "x" * 300_000

def child(value):
    import subprocess
    return subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True).stdout.split()

class Deep:
    @staticmethod
    def inside(value):
        return "deep"
"""

NODE = """\
const tare = require("tare");
exports.double = (value) => {
  tare.log("doubling");
  tare.progress(0.25, "a quarter");
  tare.progress(0.75, "three quarters");
  tare.artifact("sub/note.txt", "written", "text/plain");
  console.log("on stdout", process.argv.slice(2));
  return { twice: value.n * 2, runner: tare.runner, run: tare.runId, bridge: tare.bridge };
};
exports.waits = async (value) => {
  await new Promise((done) => setTimeout(done, 1));
  return [value];
};
exports.nothing = () => undefined;
exports.fails = (value) => deeper(value);
function deeper(value) {
  throw new RangeError(`no ${value}`);
}
exports.exits = () => process.exit(7);
exports.no_json = () => () => 1;
exports.too_much = () => "x".repeat(300_000);
exports.later = () => {
  setTimeout(() => { throw new Error("nobody waits"); }, 1);
  return new Promise(() => setTimeout(() => {}, 1000));
};
exports.Deep = { inside: () => "deep" };
"""

MODULE = """\
import tare from "tare";
export const handler = (value) => ({ module: true, runner: tare.runner, value });
"""


class Calls:
    """An agent with one of the runners is called; what it reports."""

    name, interpreter, file, source = "", "", "", ""
    environment = "host"

    @classmethod
    def setUpClass(cls):
        if cls.environment == "host" and not os.path.exists(f"/usr/bin/{cls.interpreter}"):
            raise unittest.SkipTest(f"this host has no /usr/bin/{cls.interpreter}")
        super().setUpClass()
        if cls.environment != "host":
            cls.home.must("env", "build", cls.environment, timeout=1800)
        cls.home.must("runner", "add", cls.name)

    def apply(self, function, files=None):
        folder = self.folder / "agent"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        files = files or {self.file: self.source}
        for path, text in files.items():
            (folder / path).write_text(text)
        entry = f"{next(iter(files))}:{function}"
        (folder / "agent.toml").write_text(
            f'name = "sdk"\nenvironment = "{self.environment}"\nrunner = "{self.name}"\n'
            f'entry = "{entry}"\n'
            f'files = {json.dumps(sorted(files))}\n[limits]\nmemory = "512M"\n')
        self.home.must("agent", "apply", folder)

    def call(self, function, value=None, files=None, stdin=None, *arguments):
        """Runs it with that input; exit status, report, and the rest of what `tare run` says."""
        self.apply(function, files)
        options = []
        if value is not None:
            (self.folder / "input.json").write_text(json.dumps(value))
            options = ["--input", self.folder / "input.json"]
        if stdin is not None:
            options.append("-i")
        result = self.home.tare("run", "sdk", "--json", *options, "--", *arguments, data=stdin)
        answer = json.loads(result.stdout)
        return result.returncode, answer.get("report", {}), answer


class Sdk(Calls):
    """What both runners do. A class of its own, so that it is not run for itself."""

    def test_a_function_gets_its_input_reports_and_returns(self):
        status, report, answer = self.call("double", {"n": 21}, None, None, "x", "y")
        self.assertEqual(status, 0, answer)
        run = answer["run"]
        self.assertEqual(report["result"], {"twice": 42, "runner": f"{self.name}@1.0",
                                            "run": run["id"], "bridge": None})
        self.assertEqual(report["progress"], {"fraction": 0.75, "message": "three quarters"})
        self.assertEqual(report["artifacts"],
                         [{"name": "sub/note.txt", "media_type": "text/plain"}])
        self.assertNotIn("error", report)
        self.assertNotIn("refused_lines", report)
        self.assertIn("on stdout", answer["stdout"])
        self.assertIn("info: doubling\n", answer["stderr"])
        shown = json.loads(self.home.must("inspect", run["id"]).stdout)
        self.assertEqual(shown["report"], report)
        listed = json.loads(self.home.must("artifacts", run["id"], "--json").stdout)
        self.assertIn("sub/note.txt", json.dumps(listed))
        self.home.must("rm", run["id"])

    def test_the_input_is_a_file_or_stdin_or_nothing(self):
        self.assertEqual(self.call("waits", [1])[1]["result"], [[1]])
        from_stdin = self.call("waits", None, None, b'"from stdin"')
        self.assertEqual(from_stdin[1]["result"], ["from stdin"])
        self.assertEqual(self.call("waits")[1]["result"], [None])
        self.assertEqual(self.call("nothing")[:2], (0, {}))
        self.assertEqual(self.call("Deep.inside", 1)[1]["result"], "deep")
        status, report, _ = self.call("waits", None, None, b"{no json")
        self.assertEqual((status, report["error"]["kind"]), (2, "InputError"))
        self.assertIn("stdin is no JSON", report["error"]["message"])

    def test_a_failure_is_reported_with_where_it_was(self):
        status, report, answer = self.call("fails", 3)
        self.assertEqual((status, answer["run"]["state"]), (1, "failed"))
        error = report["error"]
        self.assertEqual((error["kind"], error["message"]), (self.error, "no 3"))
        self.assertIn("deeper", error["traceback"])
        self.assertIn(self.file, error["traceback"])
        self.assertNotIn("/opt/tare/runner", error["traceback"])
        self.assertIn("no 3", answer["stderr"])
        self.assertNotIn("node:", error["traceback"])
        status, report, _ = self.call("exits")
        self.assertEqual((status, report["error"]["kind"]), (7, self.exit_kind))
        self.assertIn("exit(7)", report["error"]["message"])

    def test_what_cannot_be_called_or_kept_says_why(self):
        for entry, why in (("absent", "no function absent"), ("Deep", "no function Deep")):
            if entry == "Deep" and self.name == "python":
                continue  # a class can be called
            status, report, _ = self.call(entry)
            self.assertEqual((status, report["error"]["kind"]), (2, "EntryError"))
            self.assertIn(why, report["error"]["message"])
        status, report, _ = self.call("double", {"n": 1}, {"broken" + self.file[-3:]: "(((\n"})
        self.assertEqual((status, report["error"]["kind"]), (2, "SyntaxError"))
        self.assertRegex(report["error"]["message"], rf"\(.*broken{self.file[-3:]}\W.*[12]\)$")
        status, report, _ = self.call("no_json", 1)
        self.assertEqual((status, report["error"]["kind"]), (1, "ReportError"))
        self.assertRegex(report["error"]["message"], "the result is no JSON: .*(set|function)")
        status, report, _ = self.call("too_much", 1)
        self.assertEqual(status, 1)
        self.assertIn("tare.artifact()", report["error"]["message"])

    def test_it_is_loaded_and_shakes_hands(self):
        shown = json.loads(self.home.must("runner", "show", self.name, "--json").stdout)
        session = self.home.must("session", "new", "--env", self.environment, "--runner", self.name)
        session = session.stdout.decode().strip()
        said = self.home.must("session", "exec", session, "--", *shown["handshake"]).stdout
        self.assertEqual(json.loads(said)["tare_runner"], 1)
        self.home.must("session", "kill", session)


class Bridge(unittest.TestCase):
    """No run has a bridge yet: the runners are started with an address by hand."""

    ADDRESS = "unix:/run/tare/bridge.sock"

    def told(self, command, file, source, bridge):
        """What the agent's code finds."""
        if not shutil.which(command[0]):
            self.skipTest(f"this host has no {command[0]}")
        folder = tempfile.mkdtemp(prefix="te-bridge-")
        self.addCleanup(shutil.rmtree, folder)
        Path(folder, file).write_text(source)
        environment = {key: value for key, value in os.environ.items() if key != "TARE_BRIDGE"}
        said = subprocess.run([*command, f"{file}:told"], cwd=folder, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=harness.TIMEOUT_S,
                              env={**environment, **bridge})
        self.assertEqual(said.returncode, 0, said.stderr)
        return json.loads(said.stdout)

    def test_its_address_reaches_the_agents_code(self):
        runners = Path(__file__).parents[2] / "runners"
        for command, file, source in (
                (["python3", "-B", runners / "python/main.py"], "main.py",
                 "import tare\ndef told(value):\n    return [tare.bridge]\n"),
                (["node", runners / "node/main.js"], "main.js",
                 'exports.told = () => [require("tare").bridge];\n')):
            with self.subTest(file=file):
                told = self.told(command, file, source, {"TARE_BRIDGE": self.ADDRESS})
                self.assertEqual(told, [self.ADDRESS])
                for none in ({}, {"TARE_BRIDGE": ""}):
                    self.assertEqual(self.told(command, file, source, none), [None])


class Python(Sdk, harness.TareTest):
    name, interpreter, file, source, error = "python", "python3", "main.py", PYTHON, "ValueError"
    exit_kind = "SystemExit"

    def test_a_child_of_the_agents_has_nothing_to_report_with(self):
        self.assertEqual(self.call("child", 1)[1]["result"], ["0", "1", "2", "3"])


class Node(Sdk, harness.TareTest):
    name, interpreter, file, source, error = "node", "node", "main.js", NODE, "RangeError"
    exit_kind = "Exit"

    def test_an_ecmascript_module_imports_the_sdk_too(self):
        status, report, answer = self.call("handler", 5, {"main.mjs": MODULE})
        self.assertEqual(status, 0, answer["stderr"])
        self.assertEqual(report["result"], {"module": True, "runner": "node@1.0", "value": 5})

    def test_what_nobody_waits_for_fails_the_run(self):
        status, report, _ = self.call("later")
        self.assertEqual((status, report["error"]["message"]), (1, "nobody waits"))


RUNNER = """\
name = "raw"
version = "{version}"
entry = ["sh", "-c"]
handshake = ["true"]
"""


class Reports(harness.TareTest):
    """The pipe itself, with programs that write into it what they like."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.home.path.parent / f"{cls.home.path.name}-raw"
        folder.mkdir()
        cls.addClassCleanup(shutil.rmtree, folder)
        (folder / "runner.toml").write_text(RUNNER.format(version="1"))
        cls.home.must("runner", "add", folder)

    def start(self, script):
        return self.home.must("run", "-d", "--env", "host", "--runner", "raw", "--", script
                              ).stdout.decode().strip()

    def report_of(self, script):
        run = self.start(script)
        self.home.wait_ended(run)
        return self.home.inspect(run).get("report")

    def test_nothing_reported_is_no_report(self):
        self.assertIsNone(self.report_of("true"))

    def test_hostile_lines_are_counted_and_change_nothing_else(self):
        report = self.report_of(
            'for i in 1 2 3; do echo rubbish >&5; done; echo \'{"type":"result","value":1}\' >&5;'
            ' head -c 3000000 /dev/zero >&5; echo >&5; head -c 100 /dev/urandom | tr -d "\\n" >&5')
        self.assertEqual(report["result"], 1)
        self.assertEqual(report["refused_lines"], 5)
        self.assertIn("JSON", report["first_refusal"])

    def test_who_reports_for_ever_is_bounded_on_the_disk_and_keeps_its_last_word(self):
        report = self.report_of(
            "exec 1>&5; i=0; while [ $i -lt 30000 ]; do i=$((i+1));"
            ' echo \'{"type":"progress","fraction":0.5,"message":"\'$i\' of many, and more"}\';'
            " done")
        self.assertEqual(report["progress"]["message"], "30000 of many, and more")
        logs = list((self.home.path / "runs").glob("*/report.log"))
        self.assertLess(max(log.stat().st_size for log in logs), 2 << 20)
        self.assertTrue(list((self.home.path / "runs").glob("*/report.state")))

    def test_a_report_survives_a_tared_that_dies(self):
        """What was said before, while it was away, and after."""
        progress = '{{"type":"progress","fraction":{0},"message":"{0}"}}'
        run = self.start(
            f"echo '{progress.format(0.1)}' >&5; read x < /tmp/no 2>/dev/null;"
            " while [ ! -e /tmp/go ]; do sleep 0.05; done;"
            " echo '{\"type\":\"artifact\",\"name\":\"while-away\"}' >&5; touch /tmp/said;"
            " sleep 1000")
        harness.wait_until(lambda: self.home.inspect(run).get("report"), "its first report")
        self.assertEqual(self.home.inspect(run)["report"]["progress"]["message"], "0.1")
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()
        harness.wait_until(lambda: self.home.inspect(run).get("report"), "its report again")
        self.assertEqual(self.home.inspect(run)["report"]["progress"]["message"], "0.1")
        # Reported into the pipe while no tared reads it.
        tared = self.home.program_pid("tared")
        os.kill(tared, signal.SIGSTOP)
        inside = [pid for pid in self.home.programs()
                  if b"touch /tmp/said" in harness.Path(f"/proc/{pid}/cmdline").read_bytes()]
        harness.Path(f"/proc/{inside[0]}/root/tmp/go").touch()
        said = harness.Path(f"/proc/{inside[0]}/root/tmp/said")
        harness.wait_until(said.exists, "its report into the pipe")
        harness.sigkill(tared)
        self.home.up()
        harness.wait_until(lambda: "artifacts" in self.home.inspect(run).get("report", {}),
                           "what was reported while tared was away")
        self.home.must("kill", run)
        self.home.wait_ended(run)
        report = self.home.inspect(run)["report"]
        self.assertEqual(report["artifacts"][0]["name"], "while-away")
        self.assertEqual(report["progress"]["message"], "0.1")


if __name__ == "__main__":
    unittest.main()
