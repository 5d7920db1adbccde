"""Code that Python or V8 compiled of a runner is not executed for its next version, whose source
differs at the same length, and is removed where it is known to be. As a control, the same caches
are taken for a source with the time of the old one."""

import unittest
from pathlib import Path

import harness
import swaps

# What a session is given so that both have a cache, and a folder as Node names them there (Node has
# made none here: before 22.1 it has no such cache).
BOTH = ("-e", "PYTHONPYCACHEPREFIX=/home/agent/cache", "-e", "NODE_COMPILE_CACHE=/home/agent/v8")
V8 = "v8/v22.12.0-x64-fb110d50-1000"
# The argument is the folder with the source, in both.
PYTHON = """\
import sys
sys.path.insert(0, (sys.argv[1:] or ["/opt/tare/runner"])[0])
import code_of_the_runner
print(code_of_the_runner.x)
"""
# V8's own code cache (cachedData of vm.Script), kept as Python keeps its own: by time and length.
# V8 compares nothing but its own version, flags and the source's length, and executes what is in
# the cache. (Node's module.enableCompileCache(), from 22.1, keeps the same with a digest of the
# source, and cannot be wrong.) What is printed second is whether V8 took one.
NODE = """\
const fs = require("fs"), vm = require("vm");
const file = (process.argv[2] ?? "/opt/tare/runner") + "/code.js", stat = fs.statSync(file);
const kept = "/tmp/cache-" + stat.mtimeMs + "-" + stat.size;
const cachedData = fs.existsSync(kept) ? fs.readFileSync(kept) : undefined;
const script = new vm.Script(fs.readFileSync(file, "utf8"), { filename: file, cachedData });
console.log(script.runInThisContext()(), script.cachedDataRejected === false);
if (!cachedData) fs.writeFileSync(kept, script.createCachedData());
"""


class Cache(swaps.SwapTest):
    def compiled(self, name, *options):
        """A session whose runner's source is to change at the same length; 2 comes after 1."""
        for version, number in (("1", 1), ("2", 2)):
            folder = {"main.sh": "true\n", "code_of_the_runner.py": f"x = {number}\n",
                      "main.py": PYTHON, "code.js": f"(() => {number})\n", "main.js": NODE}
            self.add(name, version, folder)
        return self.session(f"{name}@1", *options)

    def copy_with_time_of(self, session, name, before):
        """The new source in a folder of the session's, with the old one's time: the folder."""
        self.inside(session, f"mkdir copy; cp /opt/tare/runner/{name} copy; "
                             f"touch -d @{before} copy/{name}")
        return "/home/agent/copy"

    def time_of(self, session, name):
        return self.inside(session, f"stat -c %.Y:%s /opt/tare/runner/{name}").strip().split(":")

    def test_code_that_was_compiled_of_the_old_one_is_not_executed(self):
        """Python's bytecode: kept by time and length. The files of both versions have the same, and
        the session keeps the old one's bytecode."""
        session = self.compiled("compiled", "-e", "PYTHONPYCACHEPREFIX=/home/agent/cache")
        python = "/usr/bin/python3 /opt/tare/runner/main.py"
        for _ in range(2):
            self.assertEqual(self.inside(session, python), "1\n")
        time_before, length = self.time_of(session, "code_of_the_runner.py")
        self.inside(session, "mkdir -p cache/home/agent; "
                             "cp -r cache/opt/tare/runner cache/home/agent/copy")
        self.assertEqual(self.swap(session, "compiled@2").returncode, 0)
        self.assertEqual(self.inside(session, "find cache -path '*/opt/*' -name '*.pyc'"), "")
        # Even were it still there.
        self.inside(session, "mkdir -p cache/opt/tare; cp -r cache/home/agent/copy "
                             "cache/opt/tare/runner")
        self.assertIn("code_of_the_runner", self.inside(session, "find cache/opt -name '*.pyc'"))
        self.assertEqual(self.time_of(session, "code_of_the_runner.py")[1], length)
        self.assertEqual(self.inside(session, python), "2\n")
        # Had the new source the time of the old one, Python would execute the old code.
        copy = self.copy_with_time_of(session, "code_of_the_runner.py", time_before)
        self.assertEqual(self.inside(session, f"{python} {copy}"), "1\n")
        self.home.must("session", "kill", session)

    def test_code_that_v8_compiled_of_the_old_one_is_not_executed(self):
        if not Path("/usr/bin/node").exists():
            self.skipTest("this host has no /usr/bin/node: no code cache of V8's to try")
        session = self.compiled("compiled-v8")
        node = "node /opt/tare/runner/main.js"
        self.assertEqual(self.inside(session, f"{node}; {node}"), "1 false\n1 true\n")
        time_before, length = self.time_of(session, "code.js")
        self.assertEqual(self.swap(session, "compiled-v8@2").returncode, 0)
        self.assertEqual(self.time_of(session, "code.js")[1], length)
        self.assertEqual(self.inside(session, "ls /tmp").count("cache-"), 1)  # it is still there
        # Had the new source the time of the old one, V8 would execute the old code.
        copy = self.copy_with_time_of(session, "code.js", time_before)
        self.assertEqual(self.inside(session, f"{node} {copy}"), "1 true\n")
        self.assertEqual(self.inside(session, f"{node}; {node}"), "2 false\n2 true\n")
        self.home.must("session", "kill", session)

    def test_what_was_compiled_goes_with_the_old_one_and_nothing_else_does(self):
        """Also where the session has put something else in its place. V8's folders are named as
        Node names them."""
        session = self.compiled("purged", *BOTH)
        python = "/usr/bin/python3 /opt/tare/runner/main.py"
        kept = "echo own >own.py; PYTHONPATH=. /usr/bin/python3 -c 'import own'; " \
               "mkdir -p v8/src; echo kept >v8/src/file"
        self.inside(session, f"{python}; {kept}; mkdir -p {V8}; echo code >{V8}/00000001")
        files = lambda: self.inside(session, "find cache v8 -type f | sort").split()
        before = files()
        kept = [name for name in before if not name.startswith(("cache/opt/tare/runner/", V8))]
        self.assertEqual(len(before) - len(kept), 2)
        self.assertIn("v8/src/file", kept)
        self.assertTrue([name for name in kept if name.startswith("cache/home/agent/own")])
        for version in "21212":  # it does not grow with the swaps
            self.assertEqual(self.swap(session, f"purged@{version}").returncode, 0)
            self.assertEqual(files(), kept)
            self.assertEqual(self.inside(session, python), f"{version}\n")
            self.inside(session, f"mkdir -p {V8}; echo code >{V8}/00000002")
        outside = "mkdir -p outside; echo kept >outside/file; rm -rf cache/opt v8; "
        for hostile in ("mkdir -p cache/opt/tare; ln -s /home/agent/outside cache/opt/tare/runner; "
                        "ln -s outside v8",
                        "mkfifo v8; mkdir -p cache/opt/tare/runner/deep; cd cache/opt/tare/runner; "
                        "i=0; while [ $i -lt 200 ]; do mkdir d; cd d; i=$((i+1)); done"):
            self.inside(session, outside + hostile)
            self.assertEqual(self.swap(session, "purged@1").returncode, 0)
            self.assertEqual(self.inside(session, "cat outside/file; sh -c 'exit 0'"), "kept\n")
            self.assertEqual(self.runner_of(session), "purged@1")
        self.home.must("session", "kill", session)

    def test_a_durable_session_s_goes_too_and_no_checkpoint_is_waited_for(self):
        """A checkpoint waits for the end of the swap, which must not wait for it in turn."""
        session = self.compiled("durable", "--durable", *BOTH)
        python = "/usr/bin/python3 /opt/tare/runner/main.py"
        files = lambda: self.inside(session, "find cache v8 -type f -path cache/opt/\\* "
                                             "-o -type f -path v8/\\* | sort").split()
        for before, version in (1, 2), (2, 1):
            self.assertEqual(self.inside(session, python), f"{before}\n")
            self.inside(session, f"mkdir -p {V8}; echo code >{V8}/00000001; echo kept >v8/file")
            self.assertEqual(len(files()), 3)
            self.assertEqual(self.swap(session, f"durable@{version}").returncode, 0)
            self.assertEqual(files(), ["v8/file"])
        harness.sigkill(self.home.program_pid("tare-launcher"))
        self.home.up()
        self.assertEqual(files(), ["v8/file"])  # nor is it there again
        said = harness.read_text(self.home.path / "log/tared.log").splitlines()
        self.assertTrue([line for line in said if session in line])
        self.assertEqual([line for line in said if session in line and "compiled code" in line], [])
        self.home.must("session", "kill", session)


if __name__ == "__main__":
    unittest.main()
