"""The runners that come with Tare, given to live sessions: from the version that ships to one whose
source is another, and back.

With the host's interpreters; tests/interop/shipped_swap_test.py has Debian's.
"""

import json
import shutil
import threading
import time
import unittest

import harness
import runner_sdk_test

SHIPPED = harness.BIN.parent / "share/tare/runners"

PYTHON = """\
import sys, time
import tare

def answer(value):
    return {"n": value["n"], "generation": getattr(tare, "generation", 1), "runner": tare.runner}

def stays(value):
    print("begun", flush=True)
    time.sleep(1000)
"""
NODE = """\
const tare = require("tare");
exports.answer = (value) =>
  ({ n: value.n, generation: tare.generation ?? 1, runner: tare.runner });
exports.stays = () => {
  console.log("begun");
  return new Promise((done) => setTimeout(done, 1_000_000));
};
"""


class Shipped(runner_sdk_test.Calls):
    """What both runners do. A class of its own, so that it is not run for itself."""

    sdk, change = "", ""  # the SDK's file, and what is appended to it
    loads, says = "", ""  # where the program loads it, and what is put behind that

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.old, cls.new = f"{cls.name}@1.0", f"{cls.name}@2.0"

    def add_new(self):
        """The version that ships, with another SDK, and another line in its program."""
        folder = self.folder / "changed"
        shutil.copytree(SHIPPED / self.name, folder)
        manifest = folder / "runner.toml"
        text = manifest.read_text()
        self.assertIn('version = "1.0"', text)
        manifest.write_text(text.replace('version = "1.0"', 'version = "2.0"'))
        with (folder / self.sdk).open("a") as sdk:
            sdk.write(self.change)
        program = (folder / self.file).read_text()
        self.assertEqual(program.count(self.loads), 1)
        (folder / self.file).write_text(program.replace(self.loads, self.loads + self.says))
        self.home.must("runner", "add", folder)

    def session(self):
        session = self.home.must("session", "new", "--env", self.environment, "--runner", self.old,
                                 "--mem", "512M").stdout.decode().strip()
        self.addCleanup(self.home.tare, "session", "kill", session)
        source = self.folder / self.source_name
        source.write_text(self.source)
        self.home.must("session", "cp", source, f"{session}:{self.source_name}")
        return session

    def command(self, session, function):
        entry = json.loads(self.home.must("runner", "show", self.old, "--json").stdout)["entry"]
        return ("session", "exec", "-i", session, "--", *entry, f"{self.source_name}:{function}")

    def ask(self, session, n, command=None):
        """The answer to a request; nothing when it was killed."""
        command = command or self.command(session, "answer")
        done = self.home.tare(*command, data=json.dumps({"n": n}).encode())
        if done.returncode == 137:
            return None
        self.assert_status(done, 0)
        return json.loads(done.stdout) | {"loud": b"runner of generation 2" in done.stderr}

    def expected(self, n, generation):
        return {"n": n, "generation": generation, "loud": generation == 2,
                "runner": self.old if generation == 1 else self.new}

    def swap(self, session, version):
        done = self.home.must("runner", "swap", session, version)
        self.assertEqual(done.stdout.decode(), f"{version}\n")

    def test_requests_before_during_and_after_a_swap_have_the_old_one_or_the_new_one(self):
        self.add_new()
        session = self.session()
        self.assertEqual(self.ask(session, 1), self.expected(1, 1))
        begun = self.home.popen(*self.command(session, "stays"), stdin=harness.subprocess.PIPE)
        begun.stdin.write(b"{}")
        begun.stdin.close()
        begun.stdin = None
        self.assertEqual(begun.stdout.readline(), b"begun\n")
        answers, over, command = [], threading.Event(), self.command(session, "answer")
        spans = []  # of each: asked and answered

        def ask_on():
            while not over.is_set() or len(answers) < 2:
                asked = time.monotonic()
                answer = self.ask(session, len(answers), command)
                spans.append((asked, time.monotonic()))
                answers.append((len(answers), answer))

        asking = threading.Thread(target=ask_on)
        asking.start()
        harness.wait_until(lambda: answers, "the first answer")
        began = time.monotonic()
        self.swap(session, self.new)
        ended = time.monotonic()
        at_swap = len(answers)
        over.set()
        begun.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(begun.returncode, 137)
        asking.join()
        for n, answer in answers:
            if answer is not None:
                self.assertIn(answer, (self.expected(n, 1), self.expected(n, 2)))
        seen = [answer["generation"] for _, answer in answers if answer is not None]
        self.assertEqual(seen, sorted(seen))  # never the old one again
        self.assertEqual(seen[0], 1)
        during = [span for span in spans if span[0] < ended and span[1] > began]
        self.assertTrue(during, (spans, began, ended))
        print(f"{self.name}: {len(answers)} requests, {at_swap} of them answered or killed before "
              f"the swap was; generations {seen}")
        self.assertEqual(self.ask(session, 7), self.expected(7, 2))
        self.home.must("session", "hibernate", session)
        self.assertEqual(self.ask(session, 8), self.expected(8, 2))
        self.swap(session, self.old)
        self.assertEqual(self.ask(session, 9), self.expected(9, 1))


class Python(Shipped, harness.TareTest):
    name, interpreter, file, source = "python", "python3", "main.py", PYTHON
    source_name, sdk, change = "agent.py", "lib/tare.py", "\ngeneration = 2\n"
    loads = "\nimport tare  # noqa: E402\n"
    says = 'sys.stderr.write("runner of generation 2\\n")\n'


class Node(Shipped, harness.TareTest):
    name, interpreter, file, source = "node", "node", "main.js", NODE
    source_name, sdk, change = "agent.js", "lib/tare/index.js", "\nmodule.exports.generation = 2;\n"
    loads = '\nconst tare = require("tare");\n'
    says = 'process.stderr.write("runner of generation 2\\n");\n'


if __name__ == "__main__":
    unittest.main()
