"""An agent whose runner needs a program that its environment does not have is refused."""

import json
import os
import unittest

import layers

TOML = """\
name = "{name}"
version = "1"
entry = ["sh", "/opt/tare/runner/main.sh"]
handshake = ["sh", "-c", "echo"]
needs = {needs}
"""


def box():
    files = layers.programs("dash")
    files["bin/sh"] = files["bin/dash"]
    files["usr/bin/data"] = b"no program\n"
    return files


def tool():
    return {"opt/tools/tool": (0o755, b"#!/bin/sh\n")}


class Needs(layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [box()], "tools": [box(), tool()]}

    def runner(self, name, *needs):
        folder = self.folder / f"runner-{name}"
        folder.mkdir()
        (folder / "runner.toml").write_text(TOML.format(name=name, needs=json.dumps(needs)))
        self.home.must("runner", "add", folder)

    def apply(self, environment, runner, *more, name="needy"):
        folder = self.folder / f"agent-{environment}-{runner}-{len(os.listdir(self.folder))}"
        folder.mkdir()
        (folder / "agent.toml").write_text("\n".join([
            f'name = "{name}"', f'environment = "{environment}"', f'runner = "{runner}"',
            'entry = "x"', *more]) + "\n")
        return self.home.tare("agent", "apply", folder)

    def test_what_is_not_there_is_named_with_the_field_and_the_fix(self):
        self.runner("snake", "sh", "no-such-python")
        for environment in ("box", "host"):
            for runner in ("snake@1", "snake"):
                self.assert_reason(self.apply(environment, runner, name="refused"), 64,
                                   f'.*runner: snake@1 needs "no-such-python", which environment '
                                   f'"{environment}" does not have .*name an environment that has')
        self.assertEqual(self.home.tare("agent", "show", "refused").returncode, 66)

    def test_what_is_there_is_accepted(self):
        self.runner("shell", "sh")
        for environment in ("box", "tools", "host"):
            self.assertEqual(self.apply(environment, "shell@1").returncode, 0)

    def test_a_file_that_is_no_program_does_not_count(self):
        self.runner("reader", "data")
        self.assert_reason(self.apply("box", "reader@1"), 64, '.*needs "data"')

    def test_the_agents_own_path_counts_and_all_layers_do(self):
        self.runner("worker", "tool")
        self.assert_reason(self.apply("tools", "worker@1"), 64, '.*needs "tool".*PATH is /usr')
        variables = '[env]\nPATH = "/opt/tools:/bin"'
        self.assertEqual(self.apply("tools", "worker@1", variables).returncode, 0)
        self.assert_reason(self.apply("box", "worker@1", variables), 64,
                           '.*needs "tool".*PATH is /opt/tools:/bin')


if __name__ == "__main__":
    unittest.main()
