"""Agents: applied, versioned, refused when wrong, run with their files and inputs."""

import json
import unittest

import harness

PROGRAM = """
import json, os, pathlib, sys
out = {"argv": sys.argv[1:], "uid": os.getuid(), "cwd": os.getcwd(), "home": os.environ["HOME"],
       "lang": os.environ.get("LANG"), "tz": os.environ.get("TZ"), "mine": os.environ.get("MINE")}
top = pathlib.Path("/input")
files = [p for p in sorted(top.rglob("*")) if p.is_file()] if top.exists() else []
out["inputs"] = {str(p.relative_to(top)): p.read_text() for p in files}
out["data"] = pathlib.Path("lib/data.txt").read_text()
pathlib.Path("/output/result.json").write_text(json.dumps(out))
"""

MANIFEST = """
name = "{name}"
environment = "host"
entry = ["python3", "main.py"]
files = ["main.py", "lib"]
env = {{ MINE = "1 2" }}
limits = {{ memory = "128M", time = "60s" }}
"""


class Agents(harness.TareTest):
    def write_agent(self, name, manifest=MANIFEST, program=PROGRAM):
        folder = self.folder / name
        (folder / "lib").mkdir(parents=True)
        (folder / "agent.toml").write_text(manifest.format(name=name))
        (folder / "main.py").write_text(program)
        (folder / "lib/data.txt").write_text("data")
        return folder

    def apply(self, folder):
        return self.home.must("agent", "apply", folder).stdout.decode().strip()

    def assert_refused(self, manifest_line, pattern):
        """A manifest with this line more is refused, naming file, line and the fix."""
        folder = self.write_agent("refused", MANIFEST.strip() + "\n" + manifest_line + "\n")
        result = self.home.tare("agent", "apply", folder)
        self.assert_status(result, 64)
        line = len(MANIFEST.strip().splitlines()) + 1
        self.assertRegex(result.stderr.decode(), rf"agent\.toml:{line}: " + pattern)
        self.assertNotIn(b"refused", self.home.must("agent", "list").stdout)

    def test_the_same_agent_is_the_same_version_and_a_changed_one_the_next(self):
        folder = self.write_agent("versions")
        self.assertEqual(self.apply(folder), "versions@1")
        self.assertEqual(self.apply(folder), "versions@1 (unchanged)")
        (folder / "lib/data.txt").write_text("other data")
        self.assertEqual(self.apply(folder), "versions@2")
        with (folder / "agent.toml").open("a") as file:
            file.write("description = \"said\"\n")
        self.assertEqual(self.apply(folder), "versions@3")

    def test_list_and_show_tell_what_was_applied(self):
        self.apply(self.write_agent("shown"))
        self.assertRegex(self.home.must("agent", "list").stdout.decode(),
                         r"(?m)^shown +1 +host +python3 main\.py$")
        shown = json.loads(self.home.must("agent", "show", "shown", "--json").stdout)
        self.assertEqual((shown["name"], shown["version"], shown["entry"]),
                         ("shown", 1, ["python3", "main.py"]))
        self.assertEqual(shown["limits"]["memory_bytes"], 128 << 20)
        self.assertEqual(self.home.tare("agent", "show", "absent").returncode, 66)
        self.assertEqual(self.home.tare("agent", "show", "shown@9").returncode, 66)

    def test_an_older_version_can_still_be_run(self):
        folder = self.write_agent("old", program="print('one')")
        self.apply(folder)
        (folder / "main.py").write_text("print('two')")
        self.apply(folder)
        self.assertEqual(self.home.must("run", "old").stdout, b"two\n")
        self.assertEqual(self.home.must("run", "old@1").stdout, b"one\n")

    def test_an_unknown_key_is_refused_with_its_line_and_what_is_allowed(self):
        self.assert_refused("colour = 3", "colour: unknown key; allowed: name, .*environment")

    def test_a_wrong_unit_is_refused_with_its_line(self):
        folder = self.write_agent("unit", MANIFEST.replace("128M", "128 pounds"))
        result = self.home.tare("agent", "apply", folder)
        self.assert_status(result, 64)
        self.assertRegex(result.stderr.decode(), r"agent\.toml:7: limits\.memory: .*128 pounds")

    def test_a_runner_that_is_no_name_is_refused(self):
        self.assert_refused('runner = "tare/python"', "runner: \"tare/python\" is not a name")

    def test_a_file_that_is_not_there_is_refused(self):
        folder = self.write_agent("missing")
        (folder / "main.py").unlink()
        result = self.home.tare("agent", "apply", folder)
        self.assertIn(result.returncode, (64, 66))
        self.assertIn(b'main.py" is not there', result.stderr)

    def test_a_file_outside_the_agents_folder_is_refused(self):
        folder = self.write_agent("outside")
        (folder / "main.py").unlink()
        (folder / "main.py").symlink_to("/etc/shadow")
        result = self.home.tare("agent", "apply", folder)
        self.assertEqual(result.returncode, 64, result.stdout)
        self.assertIn(b"main.py", result.stderr)

    def test_a_run_has_its_files_inputs_arguments_and_variables(self):
        self.apply(self.write_agent("whole"))
        deep = self.folder / "deep/er"
        deep.mkdir(parents=True)
        (deep / "b.txt").write_text("b")
        (self.folder / "a.txt").write_text("a")
        out = self.folder / "out"
        self.home.must("run", "whole", "--input", self.folder / "a.txt", "--input",
                       f"named.txt={self.folder}/a.txt", "--input", self.folder / "deep",
                       "--out", out, "--", "x", "y z")
        self.assertEqual(json.loads((out / "result.json").read_text()), {
            "argv": ["x", "y z"], "uid": 1000, "cwd": "/home/agent", "home": "/home/agent",
            "lang": "C.UTF-8", "tz": "UTC", "mine": "1 2", "data": "data",
            "inputs": {"a.txt": "a", "named.txt": "a", "deep/er/b.txt": "b"}})

    def test_inputs_are_read_only_even_for_root_inside(self):
        (self.folder / "a.txt").write_text("a")
        script = ("echo x 2>/dev/null >/input/a.txt; rm -f /input/a.txt 2>/dev/null; "
                  "touch /input/new 2>/dev/null; chmod 777 /input/a.txt 2>/dev/null; "
                  "mount -o remount,rw /input 2>/dev/null; cat /input/a.txt; ls /input")
        for user in ("agent", "root"):
            result = self.home.host("sh", "-c", script, options=[
                "--user", user, "--input", self.folder / "a.txt"])
            self.assertEqual((result.returncode, result.stdout), (0, b"aa.txt\n"), result.stderr)

    def test_an_agent_may_be_root_inside_without_any_capability(self):
        program = ("import os\nstatus = open('/proc/self/status').read()\n"
                   "sets = [l.split()[1] for l in status.splitlines() if l.startswith('Cap')]\n"
                   "print(os.getuid(), set(int(s, 16) for s in sets))")
        self.apply(self.write_agent("rooted", MANIFEST + 'user = "root"\n', program))
        self.assertEqual(self.home.must("run", "rooted").stdout, b"0 {0}\n")

    def test_one_run_does_not_see_what_another_wrote(self):
        script = ("for d in /tmp /output /home/agent; do ls -A $d; echo x >$d/left; done")
        for _ in range(2):
            result = self.home.host("sh", "-c", script)
            self.assertEqual((result.returncode, result.stdout), (0, b""), result.stderr)


if __name__ == "__main__":
    unittest.main()
